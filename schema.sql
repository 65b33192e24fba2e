-- The tables of datasette-secrets, as they stand after every migration.
--
-- datasette_secrets is shared with Datasette's plugin of the same name and is
-- exactly its table: one row per version of a secret, newest version wins.
-- Files made by datasette-secrets 0.1a0 have an extra "redacted" column, so
-- every statement names its columns. Everything else of ours lives in side
-- tables named datasette_secrets_*.

create table if not exists datasette_secrets (
    id integer primary key,
    name text not null,
    note text,
    version integer not null default 1,
    encrypted blob,
    encryption_key_name text not null,
    created_at text,
    created_by text,
    updated_at text,
    updated_by text,
    deleted_at text,
    deleted_by text,
    last_used_at text,
    last_used_by text
);

-- The newest version of a name is one step away, however many there are.
create index if not exists datasette_secrets_newest
    on datasette_secrets (name, version desc);

-- What ties a row of datasette_secrets to its place, so that rows cannot be
-- swapped, renamed or edited unnoticed: internal/keyring says how. A row that
-- Python's datasette-secrets stored has none until it is first read here.
create table if not exists datasette_secrets_bindings (
    secret_id integer primary key,
    mac blob not null
);

-- The newest version of each name that this program knows of, so that newer
-- rows cannot be taken away unnoticed.
create table if not exists datasette_secrets_marks (
    name text primary key,
    version integer not null,
    mac blob not null
);

-- Which migrations this file has seen.
create table if not exists datasette_secrets_migrations (
    name text primary key,
    applied_at text not null
);

-- The plugins that this file has seen, each as its program last introduced
-- itself. A plugin that was only turned off has no hash yet.
create table if not exists datasette_secrets_plugins (
    name text primary key,
    hash text not null default '',           -- of the program: "sha256:" and hexadecimal digits
    version text not null default '',        -- as the plugin states it
    declarations text not null default '[]', -- the secrets that it needs, as a JSON list of objects
    hooks text not null default '[]',        -- the privileges that it offers to use, as a JSON list of words
    first_seen_at text,
    seen_at text,
    disabled_at text,
    disabled_by text
);

-- What plugins asked for, and what became of it.
create table if not exists datasette_secrets_plugin_requests (
    id integer primary key,
    plugin text not null,
    kind text not null,  -- "secret" or "hook"
    name text not null,
    state text not null, -- "granted", "pending" or "refused"
    asked_at text not null,
    decided_at text,     -- null while pending
    decided_by text,     -- null when it was granted at first sight
    unique (plugin, kind, name)
);

-- Every decision about a plugin, whoever took it. Rows are only ever added.
create table if not exists datasette_secrets_plugin_decisions (
    id integer primary key,
    time text not null,
    actor_id text,          -- null for a decision at first sight
    proof text,             -- how it was known who the actor is
    plugin text not null,
    decision text not null, -- "first-use", "approve", "share", "refuse", "disable" or "enable"
    kind text,              -- of the request; null when the plugin as a whole is meant
    name text,
    hash text               -- of the plugin's program at that time
);

create trigger if not exists datasette_secrets_plugin_decisions_stay
    before update on datasette_secrets_plugin_decisions
begin
    select raise(abort, 'decisions about plugins are only ever added');
end;

create trigger if not exists datasette_secrets_plugin_decisions_last
    before delete on datasette_secrets_plugin_decisions
begin
    select raise(abort, 'decisions about plugins are only ever added');
end;

-- The keys of a sealed keyring, each wrapped by the root key; see the package
-- internal/seal. The one with the highest number encrypts.
create table if not exists datasette_secrets_keys (
    number integer primary key,
    name text not null unique, -- as encryption_key_name has it
    wrapped blob not null,
    root_id text not null,     -- which root key
    created_at text not null,
    created_by text
);

-- The seals: the root key, wrapped in one way each. Any one of them opens it.
create table if not exists datasette_secrets_seals (
    name text primary key,
    kind text not null,       -- "passphrase", "key" or "pkcs11"
    parameters text not null, -- a JSON object; nothing in it is secret
    wrapped blob not null,
    root_id text not null,    -- which root key
    mac blob not null,        -- over the other columns up to here, by the root key
    created_at text not null,
    created_by text
);

-- What was done with keys and seals, and what was tried. Rows are only ever
-- added.
create table if not exists datasette_secrets_key_events (
    id integer primary key,
    time text not null,
    actor_id text, -- null for the host itself, at its start
    proof text,    -- how it was known who the actor is
    event text not null,
    name text,     -- of the seal or key
    failure text   -- null when it was done; else why it was not
);

create trigger if not exists datasette_secrets_key_events_stay
    before update on datasette_secrets_key_events
begin
    select raise(abort, 'events of keys are only ever added');
end;

create trigger if not exists datasette_secrets_key_events_last
    before delete on datasette_secrets_key_events
begin
    select raise(abort, 'events of keys are only ever added');
end;

-- Seals whose token refused the PIN. Nothing tries them again by itself,
-- because tokens lock themselves after a few wrong PINs.
create table if not exists datasette_secrets_refused_pins (
    seal text primary key,
    time text not null
);

-- Every act on a secret or a key, by whomever, allowed or refused. Package
-- internal/audit says how editing shows: leaf is a hash over all other columns,
-- and the hashes below grow from the leaves. A pruned entry keeps only id and
-- leaf.
create table if not exists datasette_secrets_log (
    id integer primary key, -- 1 and up, without gaps
    time text,              -- UTC, in milliseconds
    action text,
    name text,              -- of the secret
    secret_id integer references datasette_secrets(id),
    version integer,        -- of the secret
    actor_id text,
    actor_proof text,       -- how it was known who the actor is
    plugin text,
    client text,
    source text,            -- where a value came from: "env" or "database"
    allowed integer,        -- 1 if the act was done
    reason text,            -- the rule that decided, or why it was not done
    request_id text,
    remote text,            -- the address of who asked
    salt blob,
    leaf blob not null
);

-- Where in the log something is found: what stands in the entries of each block,
-- which are 256 × block + 1 to 256 × block + 256, once all of them are there. An
-- index over a column of the log would be a page more in every transaction.
create table if not exists datasette_secrets_log_blocks (
    block integer not null,
    kind text not null,    -- "all", "refused", or a column: "name", "actor_id", "plugin", "client" or "action"
    text text not null,    -- in that column, where an action is not "get"; else empty
    uses integer not null, -- how many of these entries are a value that was given out
    primary key (block, kind, text)
) without rowid;

-- The hashes of the Merkle tree over the leaves, as golang.org/x/mod/sumdb/tlog
-- numbers them. Those of the newest entries, fewer than 64, may follow later.
create table if not exists datasette_secrets_log_hashes (
    id integer primary key,
    hash blob not null
);

-- The key pairs that sign heads. The one with the highest id signs.
create table if not exists datasette_secrets_log_keys (
    id integer primary key,
    verifying text not null,    -- the public key, as golang.org/x/mod/sumdb/note writes it
    wrapped blob not null,      -- the signing key, as a token of the key below
    encryption_key_name text not null,
    created_at text not null
);

-- Signed heads: how many entries the log had, and the hash of them all.
create table if not exists datasette_secrets_log_heads (
    id integer primary key, -- 1 and up, without gaps
    time text not null,
    size integer not null,
    signed text not null    -- a checkpoint of https://c2sp.org/tlog-checkpoint
);

-- Applications outside the host, which read secrets over HTTP.
create table if not exists datasette_secrets_clients (
    name text primary key,
    token_hash blob not null unique, -- SHA-256 of the token, of which nothing else is kept
    previous_hash blob,              -- of the token before
    previous_until text,             -- until when that one counts too
    may_write integer not null default 0,
    declarations text not null default '[]', -- the secrets that it needs, as a JSON list of objects
    created_at text not null,
    created_by text,
    expires_at text,                 -- null: never
    rotated_at text,
    rotated_by text,
    revoked_at text,
    revoked_by text,
    last_used_at text                -- to the minute or so
);

-- Which secrets clients may read, and which they asked for.
create table if not exists datasette_secrets_client_requests (
    id integer primary key,
    client text not null,
    name text not null,  -- of the secret
    state text not null, -- "granted", "pending" or "refused"
    asked_at text not null,
    decided_at text,     -- null while pending
    decided_by text,
    unique (client, name)
);
