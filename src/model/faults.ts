import { keysOf, valuesOf } from '../lib/keys.ts';
import { known } from '../lib/schema.ts';
import { EntryProblem } from './allowlist.ts';
import type { CodeText } from './code-text.ts';

/** The faults of a request against its schema and the API’s rules. Codes are part of the API. */
export const faults = {
  required: ['Missing', 'A field or the whole body is missing.'],
  unknown_field: ['Unknown field', 'There is no such field.'],
  wrong_type: ['Wrong type', 'The value has the wrong JSON type.'],
  bad_format: ['Wrong format', 'The text does not have the required format.'],
  out_of_range: ['Out of range', 'The number is too small or too large.'],
  not_in_list: ['Not allowed', 'The value is not one of the allowed values.'],
  too_short: ['Too short', 'The text or list is too short.'],
  too_long: ['Too long', 'The text has too many characters.'],
  too_many: ['Too many items', 'The list or object has too many items.'],
  invalid: ['Invalid', 'The value breaks another rule; the message says which.'],
  above_limit: ['Above the limit', 'The guarantee must not be above the limit.'],
  image_needed: [
    'Image needed',
    'The standard environments can be switched off only for a team with an image of its own.',
  ],
  below_timeout: ['Below the timeout', 'The maximum age must not be below the idle timeout.'],
  duplicate: ['Duplicate', 'It is in the list already.'],
  username_needed: [
    'User name needed',
    'The e-mail address cannot be the name of a hub user; give a user name.',
  ],
  creator_is_owner: ['Creator is owner', 'The creator of a team is its owner.'],
  email_domain_not_allowed: [
    'E-mail domain not allowed',
    'The platform does not accept members of this e-mail domain.',
  ],
  slug_reserved: ['Slug reserved', 'The platform reserves this slug; choose another one.'],
  payload_missing: ['No payload', 'Send either data or dataBase64.'],
  given_twice: ['Given twice', 'Two fields say the same thing; send one of them.'],
  payload_twice: ['Two payloads', 'Send data or dataBase64, not both.'],
  payload_too_large: ['Payload too large', 'The decoded payload is larger than Secret Manager allows.'],
  not_base64: ['Not base64', 'It is not base64 with padding (RFC 4648, section 4).'],
  not_text: ['Not text', 'UTF-8 cannot encode this text. Send binary data as dataBase64.'],
  cannot_shrink: ['Cannot shrink', 'The value can only grow.'],
  image_invalid: ['Invalid image', 'This is not an image reference.'],
  tag_required: ['Tag required', 'Name a tag.'],
  registry_not_allowed: ['Registry not allowed', 'Images come from GHCR or Google Artifact Registry.'],
  owner_not_allowed: [
    'Owner not allowed',
    'A GHCR repository must belong to the platform’s organisation on GitHub.',
  ],
  image_not_allowed: ['Image not allowed', 'This team is not allowed to use that image.'],
  invalid_requirement: ['Invalid requirement', 'The line does not name a package.'],
  invalid_extras: ['Invalid extras', 'The extras of a package are names in brackets.'],
  invalid_version: ['Invalid version', 'The version specifier of a package does not follow PEP 440.'],
  invalid_marker: ['Invalid marker', 'The environment marker of a requirement does not follow PEP 508.'],
  invalid_url: ['Invalid URL', 'The URL of a package is invalid.'],
  invalid_hash: ['Invalid hash', 'The hash of a package is not in a format that pip supports.'],
  https_required: ['HTTPS required', 'A package is fetched over https only.'],
  credentials_not_allowed: [
    'Credentials not allowed',
    'A URL with credentials would be stored in the image.',
  ],
  variable_not_allowed: ['Variable not allowed', 'Variables in a URL are not expanded; write the full URL.'],
  url_without_name: ['Package name missing', 'Put the package name before the URL.'],
  path_not_allowed: [
    'Path not allowed',
    'Add a file with COPY in the Dockerfile instead of naming it as a requirement.',
  ],
  vcs_not_allowed: [
    'Version control not allowed',
    'A version control URL needs git in the image, and what it refers to can change.',
  ],
  option_not_allowed: [
    'Option not allowed',
    'Options for pip are not accepted, since one could select another index.',
  ],
  control_character: ['Control character', 'The text contains a control character; remove it.'],
} as const satisfies Record<string, CodeText>;

export type FaultCode = keyof typeof faults | EntryProblem;

export const FaultCode = known([...keysOf(faults), ...valuesOf(EntryProblem)], {
  $id: 'FaultCode',
  description: 'What is wrong with one part of a request. listCodes explains each code.',
  examples: ['out_of_range'],
});
