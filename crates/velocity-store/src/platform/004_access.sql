-- Keys, revocations, sessions, and what happened at the doors.
--
-- The API's login changes none of these tables by itself: it may add events, and call functions that run as their owner.
-- Those that administer write the event of it in the same transaction, and do nothing for nobody.

insert into platform.keys (name, key)
select name, decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
from unnest(array['mask', 'session']) as name;

create table platform.access_events (
  id uuid primary key default gen_random_uuid(),
  occurred_at timestamp with time zone not null default now(),
  kind text not null check (kind in ('DENIED', 'SENSITIVE_READ', 'ADMIN_USE', 'ADMINISTRATION')),
  -- More than 1 only for requests without a valid credential: those of one reason, address and second are one row.
  count integer not null default 1 check (count > 0),
  actor text,
  actor_type text,
  strategy text,
  path text,
  operation text,
  code text,
  layer text,
  detail text,
  record_ids text[] not null default '{}',
  fields text[] not null default '{}',
  request_id text,
  trace_id text,
  ip inet
);
create index access_events_occurred_at on platform.access_events (occurred_at);
create index access_events_actor on platform.access_events (actor, occurred_at);
alter table platform.access_events enable row level security;
-- What administrators did is only told by the functions that do it.
create policy from_the_api on platform.access_events for insert to velocity_api with check (kind <> 'ADMINISTRATION');
grant insert on platform.access_events to velocity_api;

create table platform.api_keys (
  id text collate "C" primary key check (id <> ''),
  -- SHA-256 of the key, which is kept nowhere.
  hash bytea not null unique check (octet_length(hash) = 32),
  name text,
  actor text collate "C" not null check (actor <> ''),
  roles text[] not null,
  attributes jsonb not null check (jsonb_typeof(attributes) = 'object'),
  -- Empty: all that its owner may do.
  scopes jsonb not null check (jsonb_typeof(scopes) = 'array'),
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  expires_at timestamp with time zone,
  -- When it ends because another took its place.
  ends_at timestamp with time zone,
  replaced_by text collate "C" references platform.api_keys (id),
  revoked_at timestamp with time zone,
  revoked_by text,
  last_used_at timestamp with time zone,
  last_used_ip inet
);
create index api_keys_actor on platform.api_keys (actor);
-- Lists of keys, without their hashes: a key is only found by the hash that somebody brings.
grant select (id, name, actor, roles, attributes, scopes, created_at, created_by, expires_at, ends_at, replaced_by, revoked_at,
  last_used_at, last_used_ip) on platform.api_keys to velocity_api;

create table platform.revocations (
  id text collate "C" primary key check (id <> ''),
  -- Given out in the order of commits: who has seen one has seen all before it.
  change bigint not null unique,
  kind text not null check (kind in ('actor', 'token', 'session', 'key')),
  value text collate "C" not null check (value <> ''),
  reason text not null,
  created_at timestamp with time zone not null default now(),
  created_by text not null,
  expires_at timestamp with time zone,
  -- A lifted one stays for a while, so that every replica learns of it.
  lifted_at timestamp with time zone,
  lifted_by text
);
create unique index revocations_in_force on platform.revocations (kind, value) where lifted_at is null;
grant select on platform.revocations to velocity_api;

create table platform.revocation_changes (
  one boolean primary key default true check (one),
  last bigint not null
);
insert into platform.revocation_changes (last) values (0);

-- The row lock is held until the transaction ends: the next number is given out after this one is seen. Numbers are
-- microseconds where those are ahead, so that after a failover or a restore, which may have lost the last ones, none is given
-- out that a replica believes to have seen.
create function platform.number_revocation() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update platform.revocation_changes
  set last = greatest(last + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
  returning last into strict new.change;
  return new;
end
$$;
create trigger number before insert or update on platform.revocations for each row execute function platform.number_revocation();

create table platform.sessions (
  id text collate "C" primary key check (id <> ''),
  -- SHA-256 of the secret that the caller sends.
  hash bytea not null unique check (octet_length(hash) = 32),
  strategy text not null,
  actor text collate "C" not null check (actor <> ''),
  roles text[] not null,
  attributes jsonb not null check (jsonb_typeof(attributes) = 'object'),
  csrf text not null,
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone not null,
  refresh_at timestamp with time zone,
  -- Sealed by the API.
  refresh_token bytea,
  generation bigint not null default 0
);
create index sessions_expires_at on platform.sessions (expires_at);

-- Who does it: `by` is `{actor, actorType, strategy, path, requestId, traceId, ip}`.
create function platform.acting(by jsonb) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if coalesce(by ->> 'actor', '') = '' then
    raise exception 'an administrative act needs an actor' using errcode = 'VL001';
  end if;
  return by ->> 'actor';
end
$$;

-- Writes down what an administrator does.
create function platform.administered(by jsonb, operation text, detail text, record_ids text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into platform.access_events
    (kind, actor, actor_type, strategy, path, operation, detail, record_ids, request_id, trace_id, ip)
  values ('ADMINISTRATION', platform.acting(by), by ->> 'actorType', by ->> 'strategy', by ->> 'path', administered.operation,
    administered.detail, administered.record_ids, by ->> 'requestId', by ->> 'traceId', (by ->> 'ip')::inet);
end
$$;

create function platform.create_api_key(
  by jsonb, id text, hash bytea, name text, actor text, roles text[], attributes jsonb, scopes jsonb,
  expires_at timestamp with time zone
) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform platform.administered(by, 'createApiKey', format('a key of %s with the roles %s, valid until %s', actor,
    coalesce(nullif(array_to_string(roles, ', '), ''), '(none)'), coalesce(expires_at::text, 'it is revoked')), array[id]);
  insert into platform.api_keys (id, hash, name, actor, roles, attributes, scopes, created_by, expires_at)
  values (create_api_key.id, create_api_key.hash, create_api_key.name, create_api_key.actor, create_api_key.roles,
    create_api_key.attributes, create_api_key.scopes, platform.acting(by), create_api_key.expires_at);
end
$$;

-- Puts a new key in the place of one that works, with its rights. Without a time of its own the new one is valid for as long
-- as the old one was to be. Returns why not: `unknown`, `revoked`, `expired`, `replaced`; null where it is done.
create function platform.rotate_api_key(
  by jsonb, old_id text, new_id text, new_hash bytea, overlap interval, expires_at timestamp with time zone
) returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  old platform.api_keys;
begin
  if overlap is null or overlap < interval '0' then
    raise exception 'the overlap is not negative' using errcode = 'invalid_parameter_value';
  end if;
  select * into old from platform.api_keys k where k.id = old_id for update;
  case
    when old.id is null then return 'unknown';
    when old.revoked_at is not null then return 'revoked';
    when old.expires_at <= now() then return 'expired';
    when old.replaced_by is not null then return 'replaced';
    else null;
  end case;
  perform platform.administered(by, 'rotateApiKey', format('%s takes the place of %s, which goes on until %s', new_id, old_id,
    now() + overlap), array[old_id, new_id]);
  insert into platform.api_keys (id, hash, name, actor, roles, attributes, scopes, created_by, expires_at)
  values (new_id, new_hash, old.name, old.actor, old.roles, old.attributes, old.scopes, platform.acting(by),
    coalesce(rotate_api_key.expires_at, now() + (old.expires_at - old.created_at)));
  update platform.api_keys k set ends_at = now() + overlap, replaced_by = new_id where k.id = old_id;
  if overlap = interval '0' then
    perform platform.forget_credential('key', old_id, 'rotated without an overlap', platform.acting(by));
  end if;
  return null;
end
$$;

-- Ends a key for good. False where there is none.
create function platform.revoke_api_key(by jsonb, id text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  ended timestamp with time zone;
begin
  select k.revoked_at into ended from platform.api_keys k where k.id = revoke_api_key.id for update;
  if not found then
    return false;
  end if;
  if ended is null then
    perform platform.administered(by, 'revokeApiKey', null, array[id]);
    update platform.api_keys k set revoked_at = now(), revoked_by = platform.acting(by) where k.id = revoke_api_key.id;
    perform platform.forget_credential('key', id, 'the key was revoked', platform.acting(by));
  end if;
  return true;
end
$$;

-- Tells every replica of a credential that is not in its table any more, for longer than any of them remembers it.
create function platform.forget_credential(kind text, value text, reason text, by_actor text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  insert into platform.revocations as r (id, kind, value, reason, created_by, expires_at)
  values (gen_random_uuid()::text, forget_credential.kind, forget_credential.value, forget_credential.reason, by_actor,
    now() + interval '1 hour')
  on conflict (kind, value) where lifted_at is null
  do update set expires_at = case when r.expires_at is null then null else greatest(r.expires_at, excluded.expires_at) end;
end
$$;

create function platform.find_api_key(hash bytea)
returns table (id text, actor text, roles text[], attributes jsonb, scopes jsonb, expires_at timestamp with time zone,
  ends_at timestamp with time zone)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select k.id, k.actor, k.roles, k.attributes, k.scopes, k.expires_at, k.ends_at
  from platform.api_keys k where k.hash = $1 and k.revoked_at is null
$$;

-- When keys were used last: `[{id, at, ip}]`.
create function platform.note_key_uses(uses jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update platform.api_keys k set last_used_at = u.at, last_used_ip = u.ip
  from jsonb_to_recordset($1) as u (id text, at timestamp with time zone, ip inet)
  where k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)
$$;

-- Revokes an actor, a token, a session or a key, and returns the revocation's id. What is revoked already keeps its id; of two
-- ends the later one counts.
create function platform.revoke(
  by jsonb, id text, kind text, value text, reason text, expires_at timestamp with time zone
) returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  known text;
begin
  insert into platform.revocations as r (id, kind, value, reason, created_by, expires_at)
  values (revoke.id, revoke.kind, revoke.value, revoke.reason, platform.acting(by), revoke.expires_at)
  on conflict (kind, value) where lifted_at is null
  do update set reason = excluded.reason, created_at = now(), created_by = excluded.created_by,
    expires_at = case when r.expires_at is null or excluded.expires_at is null then null
      else greatest(r.expires_at, excluded.expires_at) end
  returning r.id into known;
  perform platform.administered(by, 'revoke', format('%s %s: %s', kind, value, reason), array[known]);
  return known;
end
$$;

-- Lifts a revocation. False where none of that id is in force.
create function platform.lift_revocation(by jsonb, id text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  lifted platform.revocations;
begin
  update platform.revocations r set lifted_at = now(), lifted_by = platform.acting(by)
  where r.id = lift_revocation.id and r.lifted_at is null
  returning * into lifted;
  if not found then
    return false;
  end if;
  perform platform.administered(by, 'liftRevocation', format('%s %s', lifted.kind, lifted.value), array[id]);
  return true;
end
$$;

create function platform.create_session(
  id text, hash bytea, strategy text, actor text, roles text[], attributes jsonb, csrf text,
  expires_at timestamp with time zone, refresh_at timestamp with time zone, refresh_token bytea
) returns void language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into platform.sessions
    (id, hash, strategy, actor, roles, attributes, csrf, expires_at, refresh_at, refresh_token)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
$$;

create function platform.find_session(hash bytea)
returns table (id text, strategy text, actor text, roles text[], attributes jsonb, csrf text,
  expires_at timestamp with time zone, refresh_at timestamp with time zone, refresh_token bytea, generation bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.id, s.strategy, s.actor, s.roles, s.attributes, s.csrf, s.expires_at, s.refresh_at, s.refresh_token, s.generation
  from platform.sessions s where s.hash = $1 and s.expires_at > now()
$$;

-- Changes a session that is still at the generation; false where another was faster, or it is over.
create function platform.refresh_session(
  id text, generation bigint, roles text[], attributes jsonb, expires_at timestamp with time zone,
  refresh_at timestamp with time zone, refresh_token bytea
) returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update platform.sessions s set roles = refresh_session.roles, attributes = refresh_session.attributes,
    expires_at = refresh_session.expires_at, refresh_at = refresh_session.refresh_at,
    refresh_token = refresh_session.refresh_token, generation = s.generation + 1
  where s.id = refresh_session.id and s.generation = refresh_session.generation and s.expires_at > now();
  return found;
end
$$;

-- Ends a session, on every replica.
create function platform.end_session(id text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  who text;
begin
  delete from platform.sessions s where s.id = end_session.id returning s.actor into who;
  if found then
    perform platform.forget_credential('session', id, 'signed out', who);
  end if;
end
$$;

revoke all on all functions in schema platform from public;
grant execute on function
  platform.create_api_key(jsonb, text, bytea, text, text, text[], jsonb, jsonb, timestamp with time zone),
  platform.rotate_api_key(jsonb, text, text, bytea, interval, timestamp with time zone),
  platform.revoke_api_key(jsonb, text),
  platform.find_api_key(bytea),
  platform.note_key_uses(jsonb),
  platform.revoke(jsonb, text, text, text, text, timestamp with time zone),
  platform.lift_revocation(jsonb, text),
  platform.create_session(text, bytea, text, text, text[], jsonb, text, timestamp with time zone, timestamp with time zone, bytea),
  platform.find_session(bytea),
  platform.refresh_session(text, bigint, text[], jsonb, timestamp with time zone, timestamp with time zone, bytea),
  platform.end_session(text)
to velocity_api;
