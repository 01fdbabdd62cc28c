/** Step n takes a file from `user_version` n to n + 1. Released steps never change. */
export const migrations = [
  `CREATE TABLE teams (
     slug TEXT NOT NULL PRIMARY KEY,
     record TEXT NOT NULL,
     due_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.reconcile.dueAt') STORED,
     platform_hash TEXT GENERATED ALWAYS AS (record ->> '$.release.platformHash') STORED,
     degraded_on TEXT GENERATED ALWAYS AS (
       iif(record ->> '$.status.phase' = 'Degraded', record ->> '$.release.platformHash', NULL)
     ) STORED
   ) STRICT;
   CREATE INDEX teams_due ON teams (due_at, slug);
   CREATE INDEX teams_platform ON teams (platform_hash, slug);
   CREATE INDEX teams_degraded ON teams (degraded_on, slug) WHERE degraded_on IS NOT NULL;
   CREATE TABLE members (
     email TEXT NOT NULL,
     slug TEXT NOT NULL REFERENCES teams ON DELETE CASCADE,
     PRIMARY KEY (email, slug)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX members_team ON members (slug);
   CREATE TABLE history (
     slug TEXT NOT NULL REFERENCES teams ON DELETE CASCADE,
     n INTEGER NOT NULL,
     event TEXT NOT NULL,
     spec_revision INTEGER GENERATED ALWAYS AS (iif(event -> '$.spec' IS NULL, NULL, event ->> '$.revision')) STORED,
     PRIMARY KEY (slug, n)
   ) STRICT;
   CREATE INDEX history_spec ON history (slug, spec_revision, n);
   CREATE TABLE ids (
     id TEXT NOT NULL PRIMARY KEY,
     gone INTEGER NOT NULL DEFAULT 0
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE catalogue (
     name TEXT NOT NULL PRIMARY KEY,
     document TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;`,

  // `subject` is JSON text: null for the hub, a string for a hub user. An operation with a due_at is unfinished.
  `CREATE TABLE operations (
     slug TEXT NOT NULL REFERENCES teams ON DELETE CASCADE,
     id TEXT NOT NULL,
     operation TEXT NOT NULL,
     subject TEXT NOT NULL GENERATED ALWAYS AS (operation -> '$.user') STORED,
     created_at TEXT NOT NULL GENERATED ALWAYS AS (operation ->> '$.createdAt') STORED,
     due_at TEXT GENERATED ALWAYS AS (operation ->> '$.dueAt') STORED,
     expires_at TEXT NOT NULL GENERATED ALWAYS AS (operation ->> '$.expiresAt') STORED,
     PRIMARY KEY (slug, id)
   ) STRICT;
   CREATE UNIQUE INDEX operations_subject ON operations (slug, subject) WHERE due_at IS NOT NULL;
   CREATE INDEX operations_open ON operations (slug, created_at, id) WHERE due_at IS NOT NULL;
   CREATE INDEX operations_due ON operations (due_at, slug, id) WHERE due_at IS NOT NULL;
   CREATE INDEX operations_finished ON operations (expires_at) WHERE due_at IS NULL;
   CREATE TABLE hosts (
     name TEXT NOT NULL PRIMARY KEY,
     host TEXT NOT NULL,
     due_at TEXT GENERATED ALWAYS AS (host ->> '$.dueAt') STORED
   ) STRICT;
   CREATE INDEX hosts_due ON hosts (due_at, name) WHERE due_at IS NOT NULL;
   CREATE TABLE listings (
     host TEXT NOT NULL,
     slug TEXT NOT NULL REFERENCES teams ON DELETE CASCADE,
     PRIMARY KEY (host, slug)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX listings_team ON listings (slug);
   INSERT INTO listings (host, slug)
     SELECT DISTINCT value, slug FROM teams, json_each(record, '$.egressHosts');
   ALTER TABLE teams ADD COLUMN culling_due_at TEXT GENERATED ALWAYS AS (record ->> '$.culling.dueAt') VIRTUAL;
   CREATE INDEX teams_culling ON teams (culling_due_at, slug) WHERE culling_due_at IS NOT NULL;`,

  // A team that has opted in names hosts, at least those of Google’s APIs.
  `ALTER TABLE teams ADD COLUMN restricted_id TEXT GENERATED ALWAYS AS (
     iif(json_array_length(record, '$.egressHosts') > 0, record ->> '$.id', NULL)
   ) VIRTUAL;
   ALTER TABLE teams ADD COLUMN policies TEXT GENERATED ALWAYS AS (record ->> '$.status.policies') VIRTUAL;
   CREATE INDEX teams_restricted ON teams (restricted_id, slug, policies) WHERE restricted_id IS NOT NULL;`,

  // An operation that reconciling the team carries out excludes no other. The deletion of a team outlives it.
  `DROP INDEX operations_subject;
   ALTER TABLE operations DROP COLUMN subject;
   ALTER TABLE operations ADD COLUMN excludes TEXT GENERATED ALWAYS AS (
     iif(operation ->> '$.kind' IN ('retry_notebook', 'delete_notebook'), NULL, operation -> '$.user')
   ) VIRTUAL;
   CREATE UNIQUE INDEX operations_exclusive ON operations (slug, excludes)
     WHERE due_at IS NOT NULL AND excludes IS NOT NULL;
   CREATE INDEX operations_all ON operations (slug, created_at, id);
   CREATE INDEX operations_ended ON operations (slug, created_at, id) WHERE due_at IS NULL;
   CREATE TABLE departures (
     slug TEXT NOT NULL,
     id TEXT NOT NULL,
     operation TEXT NOT NULL,
     due_at TEXT GENERATED ALWAYS AS (operation ->> '$.dueAt') STORED,
     expires_at TEXT NOT NULL GENERATED ALWAYS AS (operation ->> '$.expiresAt') STORED,
     PRIMARY KEY (slug, id)
   ) STRICT;
   CREATE INDEX departures_due ON departures (due_at, slug, id) WHERE due_at IS NOT NULL;
   CREATE INDEX departures_finished ON departures (expires_at) WHERE due_at IS NULL;`,

  // null for a team that was stored before its names were.
  `ALTER TABLE teams ADD COLUMN namespace TEXT GENERATED ALWAYS AS (record ->> '$.names.namespace') VIRTUAL;
   DROP INDEX teams_restricted;
   CREATE INDEX teams_restricted ON teams (restricted_id, slug, namespace, policies) WHERE restricted_id IS NOT NULL;
   CREATE TABLE requests (
     id TEXT NOT NULL PRIMARY KEY,
     request TEXT NOT NULL,
     expires_at TEXT NOT NULL GENERATED ALWAYS AS (request ->> '$.expiresAt') STORED
   ) STRICT;
   CREATE INDEX requests_expired ON requests (expires_at);
   ALTER TABLE teams ADD COLUMN phase TEXT GENERATED ALWAYS AS (
     iif(record ->> '$.deletion' IS NULL, record ->> '$.status.phase', 'Deleting')
   ) VIRTUAL;
   CREATE INDEX teams_phase ON teams (phase, slug);`,
];

/** Every statement of this adapter; the tests ask SQLite how it would answer each of them. */
export const statements = {
  team: 'SELECT record FROM teams WHERE slug = ?',
  teamExists: 'SELECT 1 FROM teams WHERE slug = ?',
  insertTeam: 'INSERT INTO teams (slug, record) VALUES (?, ?)',
  updateTeam: 'UPDATE teams SET record = ? WHERE slug = ?',
  deleteTeam: 'DELETE FROM teams WHERE slug = ?',
  insertMember: 'INSERT OR IGNORE INTO members (email, slug) VALUES (?, ?)',
  deleteMembers: 'DELETE FROM members WHERE slug = ?',
  insertListing: 'INSERT OR IGNORE INTO listings (host, slug) VALUES (?, ?)',
  deleteListings: 'DELETE FROM listings WHERE slug = ?',
  newestEntry: 'SELECT coalesce(max(n), 0) AS n FROM history WHERE slug = ?',
  insertEntry: 'INSERT INTO history (slug, n, event) VALUES (?, ?, ?)',
  history: 'SELECT n, event FROM history WHERE slug = ? AND n < ? ORDER BY n DESC LIMIT ?',
  notebookRevision:
    'SELECT n, event FROM history WHERE slug = ? AND spec_revision = ? ORDER BY n DESC LIMIT 1',
  id: 'SELECT gone FROM ids WHERE id = ?',
  insertId: 'INSERT INTO ids (id) VALUES (?)',
  buryId: 'UPDATE ids SET gone = 1 WHERE id = ?',
  // Slugs from ?1, inclusive, after ?2 and before ?3.
  teams: 'SELECT slug, record FROM teams WHERE slug >= ?1 AND slug > ?2 AND slug < ?3 ORDER BY slug LIMIT ?4',
  teamsInPhase: `SELECT slug, record FROM teams
    WHERE phase = ?5 AND slug >= ?1 AND slug > ?2 AND slug < ?3 ORDER BY slug LIMIT ?4`,
  teamsOfMember: `SELECT teams.slug, record FROM members JOIN teams USING (slug)
    WHERE email = ?5 AND members.slug >= ?1 AND members.slug > ?2 AND members.slug < ?3
    AND (?6 IS NULL OR phase = ?6) ORDER BY members.slug LIMIT ?4`,
  memberships: `SELECT teams.slug, record -> '$.members' AS members FROM members JOIN teams USING (slug)
    WHERE email = ? ORDER BY members.slug`,
  // The range makes SQLite use the index of the primary key.
  countTeams: "SELECT count(*) AS n FROM teams WHERE slug > ''",
  due: 'SELECT slug FROM teams WHERE due_at <= ? ORDER BY due_at, slug LIMIT ?',
  // Two ranges, because SQLite uses a scan for <>.
  outdated: `SELECT slug, platform_hash FROM teams WHERE platform_hash < ?1
    UNION ALL SELECT slug, platform_hash FROM teams WHERE platform_hash > ?1
    ORDER BY platform_hash, slug LIMIT ?2`,
  degraded: 'SELECT slug FROM teams WHERE degraded_on = ? ORDER BY slug LIMIT ?',
  restricted:
    "SELECT slug, restricted_id, namespace, policies FROM teams WHERE restricted_id > '' ORDER BY restricted_id",
  cullingDue: 'SELECT slug FROM teams WHERE culling_due_at <= ? ORDER BY culling_due_at, slug LIMIT ?',
  operation: 'SELECT operation FROM operations WHERE slug = ? AND id = ?',
  operationOn: `SELECT operation FROM operations
    WHERE slug = ? AND excludes = ? AND due_at IS NOT NULL AND excludes IS NOT NULL`,
  openOperations: `SELECT operation FROM operations INDEXED BY operations_open
    WHERE slug = ? AND due_at IS NOT NULL
    ORDER BY created_at, id`,
  newestOperations: `SELECT operation FROM operations WHERE slug = ? AND (created_at, id) < (?, ?)
    ORDER BY created_at DESC, id DESC LIMIT ?`,
  newestOpen: `SELECT operation FROM operations INDEXED BY operations_open
    WHERE slug = ? AND (created_at, id) < (?, ?)
    AND due_at IS NOT NULL ORDER BY created_at DESC, id DESC LIMIT ?`,
  newestEnded: `SELECT operation FROM operations INDEXED BY operations_ended
    WHERE slug = ? AND (created_at, id) < (?, ?)
    AND due_at IS NULL ORDER BY created_at DESC, id DESC LIMIT ?`,
  operationsDue: `SELECT due_at, slug, id FROM operations WHERE due_at <= ?1
    UNION ALL SELECT due_at, slug, id FROM departures WHERE due_at <= ?1
    ORDER BY due_at, slug, id LIMIT ?2`,
  insertOperation: 'INSERT INTO operations (slug, id, operation) VALUES (?, ?, ?)',
  updateOperation: 'UPDATE operations SET operation = ? WHERE slug = ? AND id = ?',
  forgetOperations: 'DELETE FROM operations WHERE due_at IS NULL AND expires_at <= ?',
  departure: 'SELECT operation FROM departures WHERE slug = ? AND id = ?',
  insertDeparture: 'INSERT INTO departures (slug, id, operation) VALUES (?, ?, ?)',
  updateDeparture: 'UPDATE departures SET operation = ? WHERE slug = ? AND id = ?',
  forgetDepartures: 'DELETE FROM departures WHERE due_at IS NULL AND expires_at <= ?',
  hosts: 'SELECT name, host FROM hosts WHERE name IN (SELECT value FROM json_each(?))',
  host: 'SELECT host FROM hosts WHERE name = ?',
  setHost: 'INSERT INTO hosts (name, host) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET host = ?2',
  hostsDue: 'SELECT name FROM hosts WHERE due_at <= ? ORDER BY due_at, name LIMIT ?',
  listing: 'SELECT slug FROM listings WHERE host IN (SELECT value FROM json_each(?))',
  request: 'SELECT request FROM requests WHERE id = ?',
  setRequest: 'INSERT INTO requests (id, request) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET request = ?2',
  deleteRequest: 'DELETE FROM requests WHERE id = ?',
  forgetRequests: 'DELETE FROM requests WHERE expires_at <= ?',
  catalogue: "SELECT document FROM catalogue WHERE name = 'current'",
  setCatalogue:
    "INSERT INTO catalogue (name, document) VALUES ('current', ?1) ON CONFLICT DO UPDATE SET document = ?1",
  ping: 'SELECT count(*) FROM pragma_user_version',
} as const;
