// What is not a request of a person: registered with the Functions Framework, one target per deployed function.
import { http } from '@google-cloud/functions-framework';
import { admissionFunction, cullFunction, reconcileFunction, refreshFunction } from './targets.ts';

http('admission', admissionFunction);
http('cull', cullFunction);
http('reconcile', reconcileFunction);
http('refresh', refreshFunction);
