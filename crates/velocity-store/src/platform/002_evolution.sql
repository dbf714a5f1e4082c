-- What a change of a schema leaves behind: its plan, how far it came, what was renamed and dropped, and what can still be
-- brought back.

-- Every plan that began.
create table platform.plans (
  id bigint generated always as identity primary key,
  path text collate "C" not null,
  spec_hash text not null,
  plan_hash text not null,
  approved boolean not null,
  operator text not null,
  steps jsonb not null,
  state text not null check (state in ('running', 'done', 'failed', 'superseded')),
  next_step integer not null default 0,
  error text,
  started_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone
);
create unique index plans_running on platform.plans (path) where state = 'running';
create index plans_path on platform.plans (path, id);

-- How far a backfill came; written with each batch.
create table platform.backfills (
  path text collate "C" not null,
  name text collate "C" not null,
  last_id text collate "C",
  rows bigint not null default 0,
  updated_at timestamp with time zone not null default now(),
  primary key (path, name)
);

-- Events are never rewritten: who reads one of before a rename or a drop finds here what its fields are called today.
create table platform.field_changes (
  id bigint generated always as identity primary key,
  domain name not null,
  history text collate "C" not null,
  seq bigint not null,
  kind text not null check (kind in ('rename', 'drop')),
  field text collate "C" not null,
  became text collate "C",
  trash bigint,
  -- The same for all of one switch.
  at timestamp with time zone not null default now()
);
create index field_changes_history on platform.field_changes (domain, history, seq);
alter table platform.field_changes enable row level security;
create policy own_changes on platform.field_changes for select using (domain = current_user);
grant select on platform.field_changes to velocity_domain;

-- What was dropped and is still there.
create table platform.trash (
  id bigint generated always as identity primary key,
  path text collate "C" not null,
  kind text not null check (kind in ('column', 'table')),
  pg_schema text collate "C" not null,
  table_name text collate "C" not null,
  field text collate "C",
  column_name text collate "C",
  sql_type text,
  restorable boolean not null,
  details jsonb not null default '{}',
  dropped_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone not null default now() + interval '30 days'
);
create index trash_table on platform.trash (pg_schema, table_name);
create index trash_path on platform.trash (path);
grant select on platform.trash to velocity_api;

-- Tags. What we make carries the comment `velocity:<source>:<print>`: the fingerprint of the text that made it, and a
-- digest of what the catalog showed right after. As long as the catalog shows the same, nobody has touched it.

-- The digest of one thing as the catalog shows it now; null when it is not there. For `table` (the rights on it) the name
-- is its history's. Rights of roles that are neither everyone, the domain's nor the API's are no part of it.
create function platform.print(kind text, relation regclass, name text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  shown text;
begin
  case print.kind
  when 'column' then
    -- A default names no column. Without a table to look at, a wide one costs no more than a small one.
    select concat_ws(e'\n', format_type(a.atttypid, a.atttypmod), c.collname,
      pg_get_expr(d.adbin, case when a.attgenerated = '' then 0 else d.adrelid end)) into shown
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    left join pg_collation c on c.oid = a.attcollation
    where a.attrelid = print.relation and a.attname = print.name and a.attnum > 0 and not a.attisdropped;
  when 'constraint' then
    -- Being checked for older rows too is no change of it.
    select regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') into shown
    from pg_constraint k where k.conrelid = print.relation and k.conname = print.name;
  when 'index' then
    select pg_get_indexdef(i.oid) into shown
    from pg_index x join pg_class i on i.oid = x.indexrelid
    where x.indrelid = print.relation and i.relname = print.name;
  when 'policy' then
    select concat_ws(e'\n', p.polcmd, p.polpermissive,
      (select string_agg(coalesce(quote_ident(r.rolname), 'public'), ',' order by r.rolname collate "C")
        from unnest(p.polroles) as held (role) left join pg_roles r on r.oid = held.role),
      'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)) into shown
    from pg_policy p where p.polrelid = print.relation and p.polname = print.name;
  when 'trigger' then
    select concat_ws(e'\n', pg_get_triggerdef(g.oid), g.tgenabled) into shown
    from pg_trigger g where g.tgrelid = print.relation and g.tgname = print.name and not g.tgisinternal;
  when 'table' then
    select coalesce(string_agg(line, e'\n' order by line collate "C"), '') into shown from (
      select concat_ws(' ', quote_ident(r.relname), quote_ident(e.attname),
        case when e.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(e.grantee)) end, e.privilege_type, e.is_grantable) as line
      from platform.relations_of(print.relation, print.name) o (oid)
      join pg_class r on r.oid = o.oid
      cross join platform.rights_on(r.oid) e
      where e.grantee = 0 or pg_get_userbyid(e.grantee) in ('velocity_api', (
        select n.nspname from pg_class t join pg_namespace n on n.oid = t.relnamespace where t.oid = print.relation))
    ) lines;
  else
    raise exception 'there are no tags of the kind %', print.kind;
  end case;
  return md5(shown);
end
$$;

-- A table, its history and the history's partitions.
create function platform.relations_of(relation regclass, history text) returns setof oid
language sql stable set search_path = pg_catalog, pg_temp as $$
  with main as (select c.oid, c.relnamespace from pg_class c where c.oid = $1),
  events as (
    select h.oid from main join pg_class h on h.relnamespace = main.relnamespace
    where h.relname = $2 and h.relkind in ('r', 'p') and h.oid <> main.oid)
  select oid from main union all select oid from events
  union all select i.inhrelid from events join pg_inherits i on i.inhparent = events.oid
$$;

-- Every right on a relation and its columns; without its owner's.
create function platform.rights_on(relation oid)
returns table (attname name, grantee oid, privilege_type text, is_grantable boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select null::name, e.grantee, e.privilege_type, e.is_grantable
  from pg_class c cross join aclexplode(c.relacl) e where c.oid = $1 and e.grantee <> c.relowner
  union all
  select a.attname, e.grantee, e.privilege_type, e.is_grantable
  from pg_class c join pg_attribute a on a.attrelid = c.oid and not a.attisdropped cross join aclexplode(a.attacl) e
  where c.oid = $1 and e.grantee <> c.relowner
$$;

-- The tags on a relation and on what belongs to it.
create function platform.tags(relation regclass) returns table (kind text, name text, tag text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select * from (
    select 'policy', p.polname::text, obj_description(p.oid, 'pg_policy') from pg_policy p where p.polrelid = $1
    union all
    select 'constraint', k.conname::text, obj_description(k.oid, 'pg_constraint') from pg_constraint k where k.conrelid = $1
    union all
    select 'index', i.relname::text, obj_description(i.oid, 'pg_class')
    from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid = $1
    union all
    select 'trigger', g.tgname::text, obj_description(g.oid, 'pg_trigger')
    from pg_trigger g where g.tgrelid = $1 and not g.tgisinternal
    union all
    select 'column', a.attname::text, col_description($1, a.attnum)
    from pg_attribute a where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
    union all
    select 'table', '', obj_description($1, 'pg_class')
  ) all_of_them (kind, name, tag) where tag like 'velocity:%'
$$;

-- The constraints of a table as `print` sees them: asked for once, for on a wide table each takes its time.
create function platform.constraints_of(relation regclass)
returns table (name text, kind "char", columns smallint[], definition text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select k.conname::text, k.contype, k.conkey, pg_get_constraintdef(k.oid) from pg_constraint k where k.conrelid = $1
$$;

-- Writes a tag, for the thing as it is now.
create function platform.stamp(kind text, relation regclass, name text, source text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  shown constant text := platform.print(kind, relation, name);
  tag constant text := format('velocity:%s:%s', source, shown);
begin
  if shown is null then
    raise exception 'there is no % % on % to be tagged', kind, name, relation;
  end if;
  if source is null or source like '%:%' then
    raise exception 'a tag''s source has no colon';
  end if;
  execute case kind
    when 'column' then format('comment on column %s.%I is %L', relation, name, tag)
    when 'constraint' then format('comment on constraint %I on %s is %L', name, relation, tag)
    when 'policy' then format('comment on policy %I on %s is %L', name, relation, tag)
    when 'trigger' then format('comment on trigger %I on %s is %L', name, relation, tag)
    when 'table' then format('comment on table %s is %L', relation, tag)
    when 'index' then format('comment on index %I.%I is %L',
      (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation), name, tag)
  end;
end
$$;

-- Renews the prints after a rename, which changes what the catalog shows of everything that names the column. The rights
-- are left out: they change with every rename, and get their tag when they are given.
create function platform.restamp(relation regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform platform.stamp(t.kind, restamp.relation, t.name, split_part(t.tag, ':', 2))
  from platform.tags(restamp.relation) t where t.kind <> 'table';
  perform platform.stamp('constraint', k.conrelid, k.conname, split_part(obj_description(k.oid, 'pg_constraint'), ':', 2))
  from pg_constraint k
  where k.confrelid = restamp.relation and k.conrelid <> restamp.relation and k.contype = 'f'
    and obj_description(k.oid, 'pg_constraint') like 'velocity:%';
end
$$;

-- Takes every right from everyone, the domain's role and the API's login: on the table, its history and, where someone
-- gave them by hand, the history's partitions.
create function platform.revoke_rights(relation regclass, history text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  roles text;
  part oid;
begin
  select concat_ws(', ', 'public', string_agg(quote_ident(r.rolname), ', ')) into roles from pg_roles r
  where r.rolname in ('velocity_api', (
    select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = revoke_rights.relation));
  for part in select o.oid from platform.relations_of(revoke_rights.relation, revoke_rights.history) o (oid) loop
    execute format('revoke all on table %s from %s', part::regclass, roles);
  end loop;
end
$$;

-- Renames and drops, for whoever reads older events.

-- The last event so far. Called under the main table's lock: every event up to it is older than what is being changed.
create function platform.last_event(pg_schema text, history text) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  counter constant text := pg_get_serial_sequence(format('%I.%I', pg_schema, history), 'seq');
  last bigint;
begin
  if counter is null then
    raise exception 'the events of %.% have no sequence', pg_schema, history;
  end if;
  execute format('select case when is_called then last_value else 0 end from %s', counter) into last;
  return last;
end
$$;

create function platform.log_rename(pg_schema text, history text, field text, became text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into platform.field_changes (domain, history, seq, kind, field, became)
  values ($1, $2, platform.last_event($1, $2), 'rename', $3, $4)
$$;

create function platform.log_drop(pg_schema text, history text, field text, trash bigint) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into platform.field_changes (domain, history, seq, kind, field, trash)
  values ($1, $2, platform.last_event($1, $2), 'drop', $3, $4)
$$;

-- The trash.

-- Makes every session compile a table's trigger functions anew: it remembers the types of the columns that they name, and
-- fails where another column has taken a name ("type of parameter … does not match that when preparing the plan").
create function platform.recompile_triggers(relation regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  function regprocedure;
begin
  for function in select distinct p.oid from pg_trigger g join pg_proc p on p.oid = g.tgfoid
    join pg_class c on c.oid = g.tgrelid and c.relnamespace = p.pronamespace
    where g.tgrelid = recompile_triggers.relation and p.provolatile = 'v'
  loop
    -- What it is already; that it is written once more is what counts.
    execute format('alter function %s volatile', function);
  end loop;
end
$$;

-- Takes a column out of the table's life, with its values in it. Constraints that name it go: they would refuse rows that
-- say nothing of it, and keep the targets of references from being deleted.
create function platform.trash_column(
  path text, pg_schema text, table_name text, history text, field text, restorable boolean
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  main constant regclass := format('%I.%I', pg_schema, table_name)::regclass;
  number constant smallint := (
    select a.attnum from pg_attribute a where a.attrelid = main and a.attname = field and a.attnum > 0 and not a.attisdropped);
  renamed text;
  attempt integer := 0;
  gone name;
  entry bigint;
begin
  if number is null then
    raise exception '% has no column %', main, field;
  end if;
  for gone in select k.conname from pg_constraint k
    where k.conrelid = main and k.contype in ('c', 'f', 'u', 'x') and number = any (k.conkey)
  loop
    execute format('alter table %s drop constraint %I', main, gone);
  end loop;
  loop
    attempt := attempt + 1;
    -- Names of fields are ASCII: a character is a byte.
    renamed := left(format('_trash%s_%s', nullif(attempt, 1), field), 63);
    exit when not exists (select from pg_attribute a where a.attrelid = main and a.attname = renamed);
  end loop;
  execute format('alter table %s rename column %I to %I', main, field, renamed);
  execute format('alter table %s alter column %I drop default, alter column %2$I drop not null', main, renamed);
  execute format('revoke all (%I) on table %s from public', renamed, main)
    || coalesce((select string_agg(', ' || quote_ident(r.rolname), '') from pg_roles r
      where r.rolname in ('velocity_api', pg_schema)), '');
  execute format('comment on column %s.%I is null', main, renamed);
  perform platform.recompile_triggers(main);
  insert into platform.trash (path, kind, pg_schema, table_name, field, column_name, sql_type, restorable)
  select path, 'column', pg_schema, table_name, field, renamed, format_type(a.atttypid, a.atttypmod), restorable
  from pg_attribute a where a.attrelid = main and a.attnum = number
  returning id into entry;
  if restorable then
    perform platform.log_drop(pg_schema, history, field, entry);
  end if;
end
$$;

-- Gives a dropped column its name again. Its default, its constraints and its rights are the plan's.
create function platform.untrash_column(trash_id bigint, field text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  entry platform.trash;
begin
  delete from platform.trash t where t.id = trash_id and t.kind = 'column' and t.restorable returning * into entry;
  if entry.id is null then
    raise exception 'there is no column % in the trash that can be brought back', trash_id;
  end if;
  execute format('alter table %I.%I rename column %I to %I', entry.pg_schema, entry.table_name, entry.column_name, field);
  delete from platform.field_changes c where c.trash = trash_id;
end
$$;

-- Takes a table out of its domain, with its rows and events in it. Its foreign keys to other tables go: rows that nobody
-- sees any more must not keep their targets from being deleted. What is known of its path goes with it.
create function platform.trash_table(path text, pg_schema text, table_name text, history text, shape_prefix text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  main constant regclass := format('%I.%I', pg_schema, table_name)::regclass;
  parts constant oid[] := array(select platform.relations_of(main, history));
  holders constant text := (
    select string_agg(distinct k.conrelid::regclass::text, ', ') from pg_constraint k
    where k.confrelid = main and k.conrelid <> main and k.contype = 'f');
  called oid[];
  entry bigint;
  place text;
  gone record;
begin
  if holders is not null then
    raise exception '% is still referenced by %', main, holders
      using errcode = 'dependent_objects_still_exist', hint = 'remove the references there, or set `enforce: false` on them';
  end if;
  insert into platform.trash (path, kind, pg_schema, table_name, restorable, details)
  values (path, 'table', pg_schema, table_name, true, jsonb_build_object(
    'history', history,
    'provisioned', (select to_jsonb(s) from platform.schemas s where s.path = trash_table.path),
    'field_changes', (select coalesce(jsonb_agg(to_jsonb(c) - 'id' order by c.id), '[]') from platform.field_changes c
      where c.domain = trash_table.pg_schema and c.history = trash_table.history)))
  returning id into entry;
  place := 'velocity_trash_' || entry;
  perform platform.revoke_rights(main, history);
  called := array(
    select distinct p.oid from pg_trigger g join pg_proc p on p.oid = g.tgfoid join pg_namespace n on n.oid = p.pronamespace
    where g.tgrelid = main and starts_with(g.tgname::text, 'velocity_') and n.nspname = pg_schema
    union
    select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = pg_schema and p.pronargs = 0 and starts_with(p.proname::text, shape_prefix));
  for gone in select g.tgname from pg_trigger g where g.tgrelid = main and g.tgfoid = any (called) loop
    execute format('drop trigger %I on %s', gone.tgname, main);
  end loop;
  for gone in select f::regprocedure as function from unnest(called) as f loop
    execute format('drop function %s', gone.function);
  end loop;
  for gone in select k.conname from pg_constraint k where k.conrelid = main and k.contype = 'f' and k.confrelid <> main loop
    execute format('alter table %s drop constraint %I', main, gone.conname);
  end loop;
  execute format('create schema %I', place);
  for gone in select part::regclass as relation from unnest(parts) as part loop
    execute format('alter table %s set schema %I', gone.relation, place);
  end loop;
  delete from platform.schemas s where s.path = trash_table.path;
  delete from platform.backfills b where b.path = trash_table.path;
  delete from platform.field_changes c where c.domain = trash_table.pg_schema and c.history = trash_table.history;
  update platform.trash t set pg_schema = place
  where t.kind = 'column' and t.pg_schema = trash_table.pg_schema and t.table_name = trash_table.table_name;
end
$$;

-- Brings a table back into its domain, whose schema is there. Triggers, functions, references and rights are the plan's.
create function platform.untrash_table(trash_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  entry platform.trash;
  place constant text := 'velocity_trash_' || trash_id;
  part oid;
begin
  delete from platform.trash t where t.id = trash_id and t.kind = 'table' returning * into entry;
  if entry.id is null then
    raise exception 'there is no table % in the trash', trash_id;
  end if;
  for part in select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = place and c.relkind in ('r', 'p')
  loop
    execute format('alter table %s set schema %I', part::regclass, entry.pg_schema);
  end loop;
  execute format('drop schema %I', place);
  insert into platform.field_changes (domain, history, seq, kind, field, became, trash, at)
  select c.domain, c.history, c.seq, c.kind, c.field, c.became, c.trash, c.at
  from jsonb_populate_recordset(null::platform.field_changes, entry.details -> 'field_changes') c;
  update platform.trash t set pg_schema = entry.pg_schema where t.kind = 'column' and t.pg_schema = place;
end
$$;

-- Really drops one thing whose time is over; false when it is being worked on just now, or is gone. What was renamed or
-- dropped stays known: the events do.
create function platform.empty_trash(trash_id bigint) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
  entry platform.trash;
begin
  select * into entry from platform.trash t where t.id = trash_id and t.expires_at <= now() for update skip locked;
  if entry.id is null or not pg_try_advisory_xact_lock(hashtextextended('velocity-schema:' || entry.path, 0)) then
    return false;
  end if;
  if entry.kind = 'column' then
    execute format('alter table if exists %I.%I drop column if exists %I', entry.pg_schema, entry.table_name, entry.column_name);
    update platform.field_changes c set trash = null where c.trash = trash_id;
  else
    execute format('drop schema if exists %I cascade', 'velocity_trash_' || trash_id);
    delete from platform.trash t where t.kind = 'column' and t.pg_schema = 'velocity_trash_' || trash_id;
  end if;
  delete from platform.trash t where t.id = trash_id;
  return true;
end
$$;

-- Conversions of texts, as the API reads the same texts for a field of the type; null where it would refuse them. They
-- look before they convert: an exception block costs a subtransaction for every row.

create function platform.to_bigint(value text) returns bigint
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if value !~ '^-?(0|[1-9][0-9]{0,18})$' then
    return null;
  end if;
  if value::numeric not between -9223372036854775808 and 9223372036854775807 then
    return null;
  end if;
  return value::bigint;
end
$$;

create function platform.to_numeric(value text) returns numeric
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if octet_length(value) > 1100 or value !~ '^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$' then
    return null;
  end if;
  if value ~ '[eE]' and abs(substring(value from '[eE](.*)$')::numeric) > 2000 then
    return null;
  end if;
  return value::numeric;
end
$$;

-- A number of so many digits, so many of them after the point; nothing is rounded.
create function platform.to_numeric(value text, digits integer, decimals integer) returns numeric
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  number constant numeric := platform.to_numeric(value);
begin
  if scale(trim_scale(number)) > decimals or abs(number) >= ('1e' || (digits - decimals))::numeric then
    return null;
  end if;
  return number;
end
$$;

create function platform.to_boolean(value text) returns boolean
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  return case value when 'true' then true when 'false' then false end;
end
$$;

create function platform.to_date(value text) returns date
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  y integer;
  m integer;
  d integer;
begin
  if value !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then
    return null;
  end if;
  y := substr(value, 1, 4)::integer;
  m := substr(value, 6, 2)::integer;
  d := substr(value, 9, 2)::integer;
  if y = 0 or m not between 1 and 12 or d < 1 or d > (case
    when m = 2 and (y % 4 = 0 and y % 100 <> 0 or y % 400 = 0) then 29
    when m = 2 then 28
    when m in (4, 6, 9, 11) then 30
    else 31 end)
  then
    return null;
  end if;
  return make_date(y, m, d);
end
$$;

create function platform.to_time(value text) returns time
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if value !~ '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.([0-9]{1,6}|[0-9]{6}0{1,3}))?)?$' then
    return null;
  end if;
  return make_time(substr(value, 1, 2)::integer, substr(value, 4, 2)::integer, coalesce(nullif(substr(value, 7), ''), '0')::double precision);
end
$$;

-- RFC 3339; without an offset it is no instant.
create function platform.to_timestamp(value text) returns timestamp with time zone
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  part constant text[] := regexp_match(value, '^(.{10})[Tt ]([0-9:.]{8,})(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))$');
  instant timestamp;
begin
  if part is null or octet_length(value) > 40 then
    return null;
  end if;
  instant := platform.to_date(part[1]) + platform.to_time(part[2])
    - coalesce(make_interval(hours => part[4]::integer, mins => part[5]::integer) * (part[3] || '1')::integer, interval '0');
  if extract(year from instant) not between 1 and 9999 then
    return null;
  end if;
  return instant at time zone 'UTC';
end
$$;

create function platform.to_uuid(value text) returns uuid
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if value !~ '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$' then
    return null;
  end if;
  return value::uuid;
end
$$;

revoke all on all functions in schema platform from public;
-- The API may compare the catalog with a schema too.
grant execute on function platform.print(text, regclass, text), platform.tags(regclass), platform.relations_of(regclass, text),
  platform.rights_on(oid), platform.constraints_of(regclass) to velocity_api;
-- Whether values would convert is asked by administrators too, through a domain's role. The functions see nothing but their
-- argument.
grant execute on function platform.to_bigint(text), platform.to_numeric(text), platform.to_numeric(text, integer, integer),
  platform.to_boolean(text), platform.to_date(text), platform.to_time(text), platform.to_timestamp(text),
  platform.to_uuid(text) to velocity_domain;
