-- What the platform keeps for itself. The API's login reads and writes only what is granted here.

create table platform.schemas (
  path text collate "C" primary key,
  namespace text not null,
  spec jsonb not null,
  spec_hash text not null,
  provisioned_at timestamp with time zone not null default now()
);

-- Who owns a path, and which domain owns a namespace: a second claim is refused.
create table platform.claims (
  path text collate "C" primary key,
  namespace text collate "C" not null,
  name text collate "C" not null,
  domain text collate "C" not null
);
create index claims_namespace on platform.claims (namespace);

create table platform.idempotency_keys (
  domain name not null default current_user,
  actor text collate "C" not null,
  key text collate "C" not null,
  digest bytea not null,
  status smallint,
  headers jsonb,
  body bytea,
  created_at timestamp with time zone not null default now(),
  primary key (domain, actor, key)
);
create index idempotency_keys_created_at on platform.idempotency_keys (created_at);
alter table platform.idempotency_keys enable row level security;
create policy own_keys on platform.idempotency_keys
  using (domain = current_user and actor = (select nullif(current_setting('velocity.actor', true), '')))
  with check (domain = current_user and actor = (select nullif(current_setting('velocity.actor', true), '')));

-- Keys of this installation that every replica needs: the cursors' signature.
create table platform.keys (
  name text primary key,
  key bytea not null,
  created_at timestamp with time zone not null default now()
);
insert into platform.keys (name, key)
values ('cursor', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

-- Every domain's role is a member of velocity_domain, so that shared rights are granted once, not once per domain.
grant usage on schema platform to velocity_domain, velocity_api;
grant select, insert, delete, update (digest, status, headers, body, created_at) on platform.idempotency_keys to velocity_domain;
grant select on platform.schemas, platform.keys to velocity_api;

-- One event's place in its record's chain: SHA-256 over the previous hash and every field, each with its length in
-- bytes before it, so that no two events have one encoding. Times are whole microseconds since 1970, free of any
-- session's time zone; `state` is the text form of the stored jsonb.
--
-- plpgsql keeps the plan of the expression for the session; as an SQL function it was parsed and planned anew in every
-- transaction. Processor time of one insert with its event, medians of three runs in turn: 244 us as SQL, 161 us so
-- (403 and 310 with a synchronous commit). No `set search_path`, which is about 2 us a call: functions of pg_catalog come
-- first in every path that does not move it, and the triggers, whose word counts, have a fixed one.
create function platform.event_hash(
  chain text, previous bytea, record_id text, version bigint, occurred_at timestamp with time zone, operation text,
  actor text, actor_type text, strategy text, request_id text, trace_id text, reason text, changed text[], state text
) returns bytea language plpgsql immutable parallel safe as $$
begin
  return sha256(convert_to(concat(
    'velocity-event-v1;',
    octet_length(chain), ':', chain, ';',
    coalesce(encode(previous, 'hex'), '-'), ';',
    octet_length(record_id), ':', record_id, ';',
    version, ';',
    (extract(epoch from occurred_at) * 1000000)::bigint, ';',
    operation, ';',
    octet_length(actor), ':', actor, ';',
    coalesce(octet_length(actor_type) || ':' || actor_type, '-'), ';',
    coalesce(octet_length(strategy) || ':' || strategy, '-'), ';',
    coalesce(octet_length(request_id) || ':' || request_id, '-'), ';',
    coalesce(octet_length(trace_id) || ':' || trace_id, '-'), ';',
    coalesce(octet_length(reason) || ':' || reason, '-'), ';',
    coalesce(octet_length(array_to_string(changed, ',')) || ':' || array_to_string(changed, ','), '-'), ';',
    coalesce(octet_length(state) || ':' || state, '-'), ';'
  ), 'UTF8'));
end
$$;

-- Refuses to delete a record that living records still point to. Locks the record first, so that a reference that is
-- being written at the same time is either seen here or sees the deletion.
create function platform.assert_unreferenced(target oid, old_row jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  key record;
  referenced boolean;
  locked boolean := false;
begin
  for key in
    select c.conname, c.conrelid, c.conrelid::regclass as relation, a.attname as column_name, t.attname as target_column,
      format_type(t.atttypid, null) as target_type, format_type(i.atttypid, null) as id_type
    from pg_constraint c
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    join pg_attribute t on t.attrelid = c.confrelid and t.attnum = c.confkey[1]
    join pg_attribute i on i.attrelid = c.confrelid and i.attname = 'id'
    where c.confrelid = target and c.contype = 'f'
  loop
    if not locked then
      execute format('select from %s where id = ($1 ->> ''id'')::%s for update', target::regclass, key.id_type) using old_row;
      locked := true;
    end if;
    -- A record that points to itself does not keep itself.
    execute format('select exists (select from %s where %I = ($1 ->> %L)::%s and deleted_at is null%s)',
      key.relation, key.column_name, key.target_column, key.target_type,
      case when key.conrelid = target then format(' and id <> ($1 ->> ''id'')::%s', key.id_type) else '' end)
      into referenced using old_row;
    if referenced then
      raise exception 'the record is still referenced' using errcode = 'VL003', constraint = key.conname;
    end if;
  end loop;
end
$$;

-- A domain's role: no login; a member of velocity_domain; the API's login may take it.
create function platform.ensure_domain_role(role_name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  held constant text := 'select from pg_auth_members m join pg_roles g on g.oid = m.roleid join pg_roles r on r.oid = m.member where g.rolname = $1 and r.rolname = $2';
  found_rows integer;
begin
  if not exists (select from pg_roles where rolname = role_name) then
    begin
      execute format('create role %I nologin inherit', role_name);
    exception when duplicate_object or unique_violation then
      null; -- someone else made it just now
    end;
  end if;
  if exists (select from pg_roles where rolname = role_name and (rolsuper or rolbypassrls or rolcanlogin)) then
    raise exception 'role % exists and may do more than a domain''s role should', role_name
      using hint = 'rename it, or choose another domain';
  end if;
  execute held using 'velocity_domain', role_name;
  get diagnostics found_rows = row_count;
  if found_rows = 0 then
    execute format('grant velocity_domain to %I', role_name);
  end if;
  execute held using role_name, 'velocity_api';
  get diagnostics found_rows = row_count;
  if found_rows = 0 then
    execute format('grant %I to velocity_api', role_name);
  end if;
end
$$;

revoke all on all functions in schema platform from public;
