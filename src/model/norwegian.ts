import type { EntryProblem, EntryWarning } from './allowlist.ts';
import type { CodeText } from './code-text.ts';
import type { ConditionReason } from './condition-reasons.ts';
import type { faults } from './faults.ts';
import type { ImageWarningCode } from './image-warnings.ts';
import type { OperationReason } from './operation-reasons.ts';
import type { ProblemCode } from './problems.ts';
import type { TeamWarningCode } from './team-warnings.ts';

const operation_reason = {
  image_pull_failed: [
    'Imaget ble ikke hentet',
    'Imaget kan ikke hentes. Sjekk at det finnes, og at clusteret har tilgang til å lese det, eller velg et annet image.',
  ],
  container_not_created: ['Containeren ble ikke opprettet', 'Containeren til notebooken kan ikke opprettes.'],
  crashed: [
    'Notebooken krasjet',
    'Notebooken avslutter så snart den starter. Hvis imaget er deres eget, må dere sjekke at det starter jupyterhub-singleuser.',
  ],
  out_of_memory: [
    'Tomt for minne',
    'Notebooken brukte mer minne enn grensen og ble stoppet. Gi den mer minne.',
  ],
  unschedulable: [
    'Ikke plass i clusteret',
    'Ingen node har plass til serveren nå. Den starter når det blir plass. En mindre server kan starte tidligere.',
  ],
  evicted: ['Kastet ut', 'Noden kastet ut notebooken. Start den igjen.'],
  home_not_attached: ['Hjemmeområdet er ikke koblet til', 'Hjemmeområdet kan ikke kobles til ennå.'],
  profiles_not_synced: [
    'Konfigurasjonen er ikke klar',
    'Huben har ikke fått den nyeste konfigurasjonen ennå. Prøv igjen om et minutt.',
  ],
  no_environment: [
    'Ikke noe miljø',
    'Det er ingenting å starte: Teamet har ikke et eget image, og ingen miljøer er tilgjengelige.',
  ],
  no_such_profile: ['Profilen tilbys ikke', 'Den valgte profilen tilbys ikke lenger. Velg en annen.'],
  invalid_revision: ['Ugyldig revisjon', 'Starten oppga en ugyldig revisjon. Kontakt plattformteamet.'],
  quota_exceeded: [
    'Kvoten er brukt opp',
    'Teamet har nådd kvoten sin i clusteret. Stopp en annen server, eller bestill en mindre.',
  ],
  start_timed_out: [
    'Starten tok for lang tid',
    'Notebooken ble ikke klar i tide. Prøv igjen. Start huben på nytt hvis det fortsatt ikke går.',
  ],
  start_failed: ['Starten mislyktes', 'Huben kunne ikke starte notebooken.'],
  start_refused: ['Starten ble avvist', 'Huben avviste starten.'],
  too_many_servers: [
    'For mange servere',
    'Huben har nådd grensen for antall notebooks. Stopp en av dem, eller be plattformteamet om en høyere grense.',
  ],
  stop_refused: ['Stoppen ble avvist', 'Huben avviste stoppen. Prøv igjen med tvang, så slettes poden.'],
  stop_timed_out: [
    'Stoppen tok for lang tid',
    'Notebooken stoppet ikke i tide. Prøv igjen med tvang, eller kontakt plattformteamet.',
  ],
  access_not_confirmed: [
    'Nettverkstilgangen er ikke bekreftet',
    'Notebooken kjører, men nettverkstilgangen er ikke bekreftet ennå. Den åpnes når clusteret godtar reglene.',
  ],
  restart_refused: ['Omstarten ble avvist', 'Kubernetes avviste omstarten av huben.'],
  hub_restart_timed_out: [
    'Omstarten tok for lang tid',
    'Huben kom ikke tilbake i tide. Notebooks fortsetter å kjøre. Kontakt plattformteamet.',
  ],
  hub_unavailable: ['Huben svarer ikke', 'Huben svarer ikke. Prøv igjen om litt, eller start huben på nytt.'],
  no_hub: ['Ingen hub', 'Huben er ikke installert. Prøv notebooken på nytt med tvang.'],
  not_a_member: ['Ikke medlem', 'Brukeren er ikke lenger medlem av teamet.'],
  deleting: ['Slettes', 'Notebooken er i ferd med å bli slettet.'],
  superseded: ['Erstattet', 'En senere forespørsel har erstattet denne operasjonen.'],
  cancelled: ['Avbrutt', 'Serveren ble stoppet mens den startet.'],
  rollout_failed: [
    'Utrullingen mislyktes',
    'Flux kunne ikke installere huben. Se tilstanden til notebooken, og prøv igjen.',
  ],
  rollout_timed_out: [
    'Utrullingen tok for lang tid',
    'Flux ble ikke ferdig i tide. Utrullingen fortsetter. Se tilstanden til notebooken.',
  ],
} satisfies Record<OperationReason, CodeText>;

/** The Norwegian (Bokmål) text of every code; the compiler asks for the text of a new one. */
export const norwegian = {
  problem: {
    ...operation_reason,
    validation_failed: [
      'Ugyldig forespørsel',
      'Forespørselen følger ikke skjemaet eller grensene. Feltet errors viser alle feilene.',
    ],
    malformed: ['Uleselig forespørsel', 'Forespørselen kunne ikke leses.'],
    invalid_cursor: ['Ugyldig markør', 'Markøren hører ikke til denne listen. Start på nytt uten markør.'],
    unauthenticated: ['Ikke innlogget', 'Send et token fra en godkjent utsteder i Authorization-headeren.'],
    forbidden: ['Ingen tilgang', 'Du har ikke tilgang til å gjøre dette.'],
    not_found: ['Ikke funnet', 'Ressursen finnes ikke, eller du har ikke tilgang til den.'],
    notebook_not_ordered: [
      'Ingen notebook er bestilt',
      'Teamet har ikke bestilt en notebook ennå. Bestill en først.',
    ],
    method_not_allowed: ['Metoden støttes ikke', 'Denne adressen støtter ikke metoden.'],
    team_exists: ['Teamet finnes', 'Det finnes allerede et team med dette kortnavnet. Velg et annet.'],
    server_busy: ['Serveren er opptatt', 'En annen operasjon pågår på denne serveren.'],
    quota_exceeded: [
      'Kvoten er brukt opp',
      'Forespørselen krever mer enn en kvote eller grense har igjen. Detaljene sier hva som er brukt, og hva som er igjen.',
    ],
    last_owner: [
      'Siste eier',
      'Et team har alltid minst én eier. Gjør et annet medlem til eier først, eller slett teamet.',
    ],
    removes_you: [
      'Fjerner deg selv',
      'Du står ikke på listen over medlemmer. Ta deg selv med. For å forlate teamet, fjern deg selv som medlem.',
    ],
    slug_reserved: ['Navnet er reservert', 'Plattformen har reservert dette navnet. Velg et annet.'],
    email_domain_not_allowed: [
      'E-postdomenet er ikke tillatt',
      'Bare e-postadresser i plattformens domener kan bli medlemmer. Feillisten viser de andre.',
    ],
    profile_differs: [
      'En annen profil kjører',
      'Serveren kjører med en annen profil. Start den på nytt med profilen du ønsker.',
    ],
    server_not_running: ['Serveren kjører ikke', 'Serveren kjører ikke, så det er ingenting å forlenge.'],
    no_environment: [
      'Ikke noe miljø',
      'Det er ingenting å starte: Teamet har ikke et eget image, og ingen miljøer er tilgjengelige.',
    ],
    homes_exist: [
      'Teamet har hjemmeområder',
      'Teamet har hjemmeområder. Send deleteHomes=true for å slette dem for godt.',
    ],
    secret_exists: [
      'Teamet har en hemmelighet',
      'Teamet har en hemmelighet. Send deleteSecret=true for å slette den for godt.',
    ],
    secret_version_destroyed: [
      'Versjonen er ødelagt',
      'Innholdet i denne versjonen er ødelagt, så den kan verken aktiveres eller deaktiveres.',
    ],
    cannot_shrink: ['Lagringsplassen kan ikke krympe', 'Et hjemmeområde kan bare bli større.'],
    deleting: ['Slettes', 'Ressursen er i ferd med å bli slettet. Vent til den er borte.'],
    idempotency_key_in_use: [
      'Nøkkelen er i bruk',
      'Den første forespørselen med denne Idempotency-Key pågår fortsatt, eller ble avbrutt uten svar.',
    ],
    idempotency_key_reused: [
      'Nøkkelen er brukt før',
      'En annen forespørsel ble sendt med denne Idempotency-Key. Bruk en ny nøkkel for hver forespørsel.',
    ],
    revision_mismatch: [
      'Endret av andre',
      'Ressursen er endret siden du leste den. Les den på nytt, og gjenta endringen.',
    ],
    payload_too_large: ['For stort innhold', 'Innholdet er større enn det operasjonen godtar.'],
    unsupported_media_type: ['Innholdstypen støttes ikke', 'Operasjonen godtar ikke denne innholdstypen.'],
    not_acceptable: [
      'Formatet støttes ikke',
      'Operasjonen har ikke noe svarformat som Accept-headeren tillater.',
    ],
    uri_too_long: ['For lang adresse', 'Adressen eller en av parameterne er for lang.'],
    headers_too_large: ['For store headere', 'Headerne i forespørselen er for store.'],
    invalid_allowlist: [
      'Ugyldig tillatelsesliste',
      'Tillatelseslisten har oppføringer som ikke kan brukes. Feltet errors viser alle.',
    ],
    image_invalid: ['Ugyldig image', 'Dette er ikke en gyldig referanse til et image.'],
    tag_required: ['Taggen mangler', 'Oppgi en tagg.'],
    registry_not_allowed: [
      'Registeret er ikke tillatt',
      'Image til notebooks må ligge i GHCR eller Google Artifact Registry.',
    ],
    image_not_allowed: ['Imaget er ikke tillatt', 'Teamet har ikke lov til å bruke dette imaget.'],
    image_not_found_or_private: [
      'Imaget finnes ikke eller er privat',
      'Imaget finnes ikke, eller clusteret har ikke tilgang til å hente det.',
    ],
    tag_not_found: ['Taggen finnes ikke', 'Imaget har ingen slik tagg.'],
    image_broken: [
      'Imaget er ødelagt',
      'Registeret viser imaget, men en del av det mangler. Bygg det på nytt.',
    ],
    platform_missing: ['Plattformen mangler', 'Imaget finnes ikke for linux/amd64.'],
    too_many_requests: [
      'For mange forespørsler',
      'Send færre forespørsler. Retry-After sier hvor lenge du må vente.',
    ],
    upstream_unavailable: [
      'Et annet system svarer ikke',
      'Et system som tjenesten bruker, svarer ikke. Prøv igjen om litt.',
    ],
    hub_unavailable: ['Huben svarer ikke', 'Teamets JupyterHub svarer ikke. Prøv igjen om litt.'],
    hub_restarting: ['Huben starter på nytt', 'Teamets JupyterHub starter på nytt. Prøv igjen om litt.'],
    registry_unavailable: ['Registeret svarer ikke', 'Image-registeret svarer ikke. Prøv igjen om litt.'],
    busy: ['Opptatt', 'For mange endringer skjer samtidig. Prøv igjen om litt.'],
    internal: [
      'Intern feil',
      'Det oppsto en uventet feil. Meld fra om den, og oppgi id-en til forespørselen.',
    ],
  } satisfies Record<ProblemCode, CodeText>,

  fault: {
    required: ['Mangler', 'Et felt eller hele innholdet mangler.'],
    unknown_field: ['Ukjent felt', 'Feltet finnes ikke.'],
    wrong_type: ['Feil type', 'Verdien har feil JSON-type.'],
    bad_format: ['Feil format', 'Teksten har ikke riktig format.'],
    out_of_range: ['Utenfor grensene', 'Tallet er for lite eller for stort.'],
    not_in_list: ['Ikke tillatt', 'Verdien er ikke blant de tillatte verdiene.'],
    too_short: ['For kort', 'Teksten eller listen er for kort.'],
    too_long: ['For lang', 'Teksten har for mange tegn.'],
    too_many: ['For mange', 'Listen eller objektet har for mange elementer.'],
    invalid: ['Ugyldig', 'Verdien bryter en annen regel. Meldingen sier hvilken.'],
    image_needed: ['Image kreves', 'Standardmiljøene kan bare slås av for et team med eget image.'],
    above_limit: ['Over grensen', 'Garantien kan ikke være høyere enn grensen.'],
    below_timeout: ['Under tidsgrensen', 'Maksimal levetid kan ikke være kortere enn tiden uten aktivitet.'],
    duplicate: ['Duplikat', 'Den finnes allerede i listen.'],
    username_needed: [
      'Brukernavn mangler',
      'E-postadressen kan ikke være navnet på en hub-bruker. Oppgi et brukernavn.',
    ],
    creator_is_owner: ['Oppretteren er eier', 'Den som oppretter et team, er eier av det.'],
    email_domain_not_allowed: [
      'E-postdomenet er ikke tillatt',
      'Plattformen godtar ikke medlemmer med dette e-postdomenet.',
    ],
    slug_reserved: ['Navnet er reservert', 'Plattformen har reservert dette navnet. Velg et annet.'],
    payload_missing: ['Innhold mangler', 'Send enten data eller dataBase64.'],
    given_twice: ['Oppgitt to ganger', 'To felt sier det samme. Send bare ett av dem.'],
    payload_twice: ['Dobbelt innhold', 'Send data eller dataBase64, ikke begge.'],
    payload_too_large: ['For stort innhold', 'Det dekodede innholdet er større enn Secret Manager tillater.'],
    not_base64: ['Ikke base64', 'Teksten er ikke base64 med utfylling (RFC 4648, avsnitt 4).'],
    not_text: ['Ikke tekst', 'UTF-8 kan ikke kode denne teksten. Send binære data som dataBase64.'],
    cannot_shrink: ['Kan ikke krympe', 'Verdien kan bare bli større.'],
    image_invalid: ['Ugyldig image', 'Dette er ikke en gyldig referanse til et image.'],
    tag_required: ['Taggen mangler', 'Oppgi en tagg.'],
    registry_not_allowed: [
      'Registeret er ikke tillatt',
      'Image må ligge i GHCR eller Google Artifact Registry.',
    ],
    owner_not_allowed: [
      'Eieren er ikke tillatt',
      'Et GHCR-repo må tilhøre plattformens organisasjon på GitHub.',
    ],
    image_not_allowed: ['Imaget er ikke tillatt', 'Teamet har ikke lov til å bruke dette imaget.'],
    invalid_requirement: ['Ugyldig krav', 'Linjen navngir ikke en pakke.'],
    invalid_extras: ['Ugyldige tillegg', 'Tilleggene til en pakke er navn i hakeparenteser.'],
    invalid_version: ['Ugyldig versjon', 'Versjonskravet til en pakke følger ikke PEP 440.'],
    invalid_marker: ['Ugyldig betingelse', 'Miljøbetingelsen til et krav følger ikke PEP 508.'],
    invalid_url: ['Ugyldig URL', 'URL-en til en pakke er ugyldig.'],
    invalid_hash: ['Ugyldig hash', 'Hashen til en pakke har ikke et format som pip støtter.'],
    https_required: ['HTTPS kreves', 'En pakke kan bare hentes over https.'],
    credentials_not_allowed: [
      'Innlogging i URL er ikke tillatt',
      'En URL med brukernavn og passord ville blitt lagret i imaget.',
    ],
    variable_not_allowed: [
      'Variabler er ikke tillatt',
      'Variabler i en URL blir ikke erstattet. Skriv hele URL-en.',
    ],
    url_without_name: ['Pakkenavn mangler', 'Skriv navnet på pakken foran URL-en.'],
    path_not_allowed: [
      'Filstier er ikke tillatt',
      'Legg til filen med COPY i Dockerfile i stedet for å oppgi den som et krav.',
    ],
    vcs_not_allowed: [
      'Versjonskontroll er ikke tillatt',
      'En slik URL krever git i imaget, og det den viser til, kan endre seg.',
    ],
    option_not_allowed: [
      'Valg er ikke tillatt',
      'Valg til pip godtas ikke, siden et valg kunne brukt en annen pakkeindeks.',
    ],
    control_character: ['Kontrolltegn', 'Teksten inneholder et kontrolltegn. Fjern det.'],
  } satisfies Record<keyof typeof faults, CodeText>,

  condition_reason: {
    AsOrdered: ['Som bestilt', 'Alt som er bestilt, finnes i clusteret.'],
    Conflict: [
      'Navnet er opptatt',
      'Et objekt med et navn som teamet trenger, tilhører noen andre. Meldingen sier hvilket. Gi det et nytt navn, eller slett det.',
    ],
    Refused: ['Avvist av clusteret', 'Clusteret avviser et av teamets objekter. Meldingen sier hvorfor.'],
    Terminating: [
      'Venter på en sletting',
      'Et av teamets objekter er i ferd med å bli slettet. Det opprettes på nytt når det er borte.',
    ],
    HomesNotGrown: [
      'Hjemmeområdet ble ikke større',
      'Clusteret nekter å gjøre et hjemmeområde større. Kontakt plattformteamet.',
    ],
    ForeignContent: [
      'Namespacet er ikke tomt',
      'Namespacet inneholder objekter som tilhører andre, så det blir ikke slettet. Fjern dem, så fortsetter slettingen.',
    ],
    Deleting: ['Slettes', 'Slettingen pågår og fortsetter av seg selv.'],
    StoreBehindCluster: [
      'Databasen er eldre enn clusteret',
      'Databasen er gjenopprettet fra en sikkerhetskopi. Plattformteamet må utføre steget etter en gjenoppretting.',
    ],
    KubernetesUnavailable: ['Clusteret svarer ikke', 'Clusteret svarer ikke. Forsøket gjentas.'],
    GKEUnavailable: ['GKE svarer ikke', 'GKE sitt API svarer ikke. Forsøket gjentas.'],
    GoogleUnavailable: ['Google svarer ikke', 'Et av Googles API-er svarer ikke. Forsøket gjentas.'],
    DependencyUnavailable: [
      'Et annet system svarer ikke',
      'Et system som plattformen er avhengig av, svarer ikke. Forsøket gjentas.',
    ],
    InternalError: [
      'Intern feil',
      'Det oppsto en uventet feil. Plattformteamet finner den i loggen, og forsøket gjentas.',
    ],
    Pending: ['Venter', 'Endringen er ikke utført ennå. Den utføres av seg selv.'],
    Applying: ['Utføres', 'Flux installerer eller oppgraderer huben.'],
    Retrying: [
      'Prøver igjen',
      'Et forsøk på å installere eller oppgradere huben mislyktes. Flux prøver igjen.',
    ],
    Installed: ['Installert', 'Huben er installert.'],
    Drifted: [
      'Endret for hånd',
      'Et av hubens objekter er endret eller slettet. Prøv notebooken på nytt med tvang for å gjenopprette det.',
    ],
    Suspended: ['Satt på vent', 'Flux er satt på vent for denne huben. Plattformteamet må starte den igjen.'],
    Failed: [
      'Mislyktes',
      'Huben kunne ikke installeres eller oppgraderes, og alle forsøk er brukt. Prøv notebooken på nytt, eller kontakt plattformteamet.',
    ],
    RolledBack: [
      'Rullet tilbake',
      'Oppgraderingen av huben mislyktes, og den forrige versjonen kjører igjen. Prøv notebooken på nytt, eller kontakt plattformteamet.',
    ],
    ImageGone: [
      'Imaget er slettet',
      'Teamets image er slettet fra registeret, så nye servere kan ikke starte med det. Last det opp på nytt, eller bestill et annet image.',
    ],
    Pinned: ['Låst', 'Imaget er låst til en digest.'],
    InStep: ['Oppdatert', 'Hubens brukere er teamets medlemmer.'],
    NoHub: ['Ingen hub ennå', 'Medlemmene legges til når huben kjører.'],
    InPlace: ['På plass', 'Hemmeligheten og tjenestekontoen finnes, og medlemmene kan bruke hemmeligheten.'],
    UnknownMembers: [
      'Medlemmer uten tilgang',
      'Google kjenner ikke noen av medlemmene, eller organisasjonen tillater dem ikke. De har ikke tilgang til hemmeligheten. Alle andre medlemmer har tilgang.',
    ],
    AccountPending: [
      'Venter på tjenestekontoen',
      'Teamets tjenestekonto er ny og får tilgang til hemmeligheten i løpet av noen minutter.',
    ],
    QuotaExceeded: [
      'Kvoten hos Google er brukt opp',
      'En kvote i Google-prosjektet er brukt opp. Kontakt plattformteamet.',
    ],
    Unavailable: ['Google svarer ikke', 'Et av Googles API-er svarer ikke. Forsøket gjentas.'],
    Effective: [
      'Gjelder',
      'Notebooks når tillatelseslisten og ingenting annet. Meldingen nevner oppføringene som ikke kan nås nå.',
    ],
    NotSeen: ['Ukjent', 'Clusteret svarer ikke, så det er ukjent om tillatelseslisten gjelder.'],
    NotApplied: [
      'Ikke i bruk ennå',
      'Begrensningen finnes ikke i clusteret ennå, eller en regel er i ferd med å bli gjenopprettet.',
    ],
    Widened: [
      'Utvidet av en annen regel',
      'En annen regel i namespacet åpner mer enn tillatelseslisten. Fjern den, eller fjern reglene dens for utgående trafikk.',
    ],
    PolicyTooLarge: [
      'For mange adresser',
      'Tillatelseslisten krever en større regel enn clusteret godtar, så ingenting på den er åpent. Gjør listen kortere.',
    ],
    GoogleApisNotCovered: [
      'Googles API-er er ikke dekket',
      'Googles API-er har adresser som notebooks ikke når, så de kan ikke lese hemmeligheten sin. Kontakt plattformteamet.',
    ],
  } satisfies Record<ConditionReason, CodeText>,

  operation_reason,

  allowlist: {
    empty_entry: ['Tom oppføring', 'Skriv et vertsnavn, eller fjern oppføringen.'],
    one_entry_per_item: ['Flere verter i én oppføring', 'Skriv én vert per oppføring.'],
    whitespace_in_host: ['Mellomrom i vertsnavnet', 'Fjern mellomrom og usynlige tegn fra vertsnavnet.'],
    userinfo_not_allowed: ['Brukernavn i oppføringen', 'Fjern brukernavn og passord foran vertsnavnet.'],
    scheme_port_mismatch: ['Port mangler', 'Bare https betyr port 443. Skriv porten etter vertsnavnet.'],
    wildcard_not_supported: [
      'Jokertegn støttes ikke',
      'En nettverksregel kan ikke inneholde jokertegn. Skriv det fulle navnet på hver vert.',
    ],
    single_label_host: ['Ufullstendig vertsnavn', 'Skriv det fulle navnet på verten, med domene.'],
    invalid_label: [
      'Ugyldig vertsnavn',
      'Delene av et vertsnavn består av bokstaver, sifre og bindestreker, og har ikke bindestrek først eller sist.',
    ],
    empty_label: ['Tom del i vertsnavnet', 'Fjern det ekstra punktumet.'],
    label_too_long: ['En del av vertsnavnet er for lang', 'Hver del mellom to punktumer har høyst 63 tegn.'],
    name_too_long: ['For langt vertsnavn', 'Et vertsnavn har høyst 253 tegn.'],
    invalid_idn: ['Ugyldig internasjonalt navn', 'Navnet er ikke et gyldig internasjonalt vertsnavn.'],
    ambiguous_unicode: [
      'Tvetydige tegn',
      'Vertsnavnet har tegn som ligner på andre tegn. Skriv det i xn---form.',
    ],
    invalid_ipv4: ['Ugyldig IPv4-adresse', 'En IPv4-adresse har fire tall fra 0 til 255.'],
    ambiguous_ip: ['Tvetydig IP-adresse', 'Skriv IPv4-adressen som fire desimaltall uten nuller foran.'],
    ipv6_not_supported: [
      'IPv6 støttes ikke',
      'Clusteret har ikke IPv6. Skriv et vertsnavn eller en IPv4-adresse.',
    ],
    cidr_not_allowed: [
      'Adresseområder er ikke tillatt',
      'Skriv enkelte verter eller adresser i stedet for et område.',
    ],
    cidr_host_bits: ['Adresseområdet starter feil', 'Skriv området med den første adressen i det.'],
    forbidden_range: [
      'Reservert adresse',
      'Adressen ligger i et reservert område som notebooks ikke får nå.',
    ],
    internal_name: ['Internt navn', 'Navnet er internt, og notebooks får bare nå offentlige verter.'],
    port_missing: ['Port mangler', 'Skriv en port etter kolonet, eller fjern kolonet.'],
    invalid_port: ['Ugyldig port', 'Skriv porten som et tall.'],
    port_out_of_range: ['Porten er utenfor grensene', 'En port er et tall fra 1 til 65535.'],
    port_range_reversed: ['Portene står i feil rekkefølge', 'Skriv den laveste porten først.'],
    port_range_too_wide: [
      'For mange porter',
      'Gjør området med porter mindre, eller skriv portene én for én.',
    ],
    protocol_not_supported: ['Protokollen støttes ikke', 'Bare TCP kan åpnes.'],
    too_many_entries: ['For mange oppføringer', 'Listen er lengre enn tillatt. Fjern oppføringer.'],
    unknown_preset: [
      'Ukjent forvalg',
      'Det finnes ikke noe forvalg med dette navnet. getLimits viser forvalgene.',
    ],
    normalized: ['Skrevet om', 'Oppføringen er lagret med en annen skrivemåte enn den som ble sendt.'],
    duplicate: ['Duplikat', 'En annen oppføring i listen åpner samme vert og porter.'],
    mixed_or_non_latin_script: [
      'Uvanlige tegn',
      'Vertsnavnet har tegn som ikke er latinske bokstaver. Sjekk at det er riktig vert.',
    ],
  } satisfies Record<EntryProblem | EntryWarning, CodeText>,

  image_warning: {
    digest_decides: ['Taggen brukes ikke', 'Referansen har en digest, som brukes i stedet for taggen.'],
    moving_tag: [
      'Taggen flytter seg',
      'Taggen flyttes vanligvis til nyere bygg. Notebooken beholder dagens digest til den blir oppdatert.',
    ],
    created_unknown: ['Ukjent byggetid', 'Imaget sier ikke når det ble bygd.'],
    old: ['Gammelt bygg', 'Imaget ble bygd for lenge siden, så pakkene er utdaterte. Bygg det på nytt.'],
  } satisfies Record<ImageWarningCode, CodeText>,

  team_warning: {
    repository_not_found_or_private: [
      'Repoet finnes ikke eller er privat',
      'Repoet finnes ikke i GHCR, eller plattformen har ikke tilgang til å lese det. Sjekk navnet og synligheten.',
    ],
    repository_not_checked: [
      'Repoet er ikke sjekket',
      'GHCR svarte ikke i tide, så det er ikke kjent om repoet finnes.',
    ],
  } satisfies Record<TeamWarningCode, CodeText>,
} as const;
