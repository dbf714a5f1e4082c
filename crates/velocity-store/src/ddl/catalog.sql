-- All that the planner compares, in one round trip. $1: Postgres schema, $2: table, $3: history,
-- $4: foreign key targets as `schema.table`, $5: the trigger functions.
with tables as (
  select c.oid, c.relname, c.relrowsecurity,
    case when c.relname = $2 then 'table' else 'history' end as kind
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname in ($2, $3) and c.relkind in ('r', 'p')
),
described as (
  select t.kind, jsonb_build_object(
    'columns', (select coalesce(jsonb_object_agg(a.attname, jsonb_build_object('sql_type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull)), '{}')
      from pg_attribute a where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped),
    'constraints', (select coalesce(jsonb_object_agg(k.conname, pg_get_constraintdef(k.oid)), '{}') from pg_constraint k where k.conrelid = t.oid and k.contype in ('p', 'u', 'c', 'f')),
    'indexes', (select coalesce(jsonb_object_agg(i.relname, x.indisvalid), '{}') from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid = t.oid),
    'triggers', (select coalesce(jsonb_agg(g.tgname), '[]') from pg_trigger g where g.tgrelid = t.oid and not g.tgisinternal and g.tgenabled in ('O', 'A')),
    'policies', (select coalesce(jsonb_agg(p.polname), '[]') from pg_policy p where p.polrelid = t.oid),
    'row_security', t.relrowsecurity,
    'comments', (
      select coalesce(jsonb_object_agg(name, substr(text, 10)), '{}') from (
        select 'policy ' || p.polname as name, obj_description(p.oid, 'pg_policy') as text from pg_policy p where p.polrelid = t.oid
        union all select 'constraint ' || k.conname, obj_description(k.oid, 'pg_constraint') from pg_constraint k where k.conrelid = t.oid
        union all select 'column ' || a.attname, col_description(t.oid, a.attnum) from pg_attribute a where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
        union all select 'table', obj_description(t.oid, 'pg_class')
      ) tags where text like 'velocity:%')
  ) as body, t.oid
  from tables t
)
select jsonb_build_object(
  'schema_exists', exists (select from pg_namespace where nspname = $1),
  'role_ready', exists (
    select from pg_roles r
    join pg_auth_members m on m.roleid = r.oid join pg_roles api on api.oid = m.member and api.rolname = 'velocity_api'
    join pg_auth_members d on d.member = r.oid join pg_roles dom on dom.oid = d.roleid and dom.rolname = 'velocity_domain'
    where r.rolname = $1),
  'table', (select body from described where kind = 'table'),
  'history', (select body from described where kind = 'history'),
  'partitions', (select coalesce(jsonb_agg(c.relname), '[]') from pg_inherits i join pg_class c on c.oid = i.inhrelid join described d on d.oid = i.inhparent and d.kind = 'history'),
  'functions', (select coalesce(jsonb_object_agg(p.proname, p.prosrc), '{}') from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1 and p.proname = any ($5)),
  'targets', (
    select coalesce(jsonb_object_agg(n.nspname || '.' || c.relname, jsonb_build_object(
      'columns', (select jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
      'unique', (select coalesce(jsonb_agg(distinct a.attname), '[]') from pg_index x join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
        where x.indrelid = c.oid and x.indisunique and x.indisvalid and x.indnatts = 1 and x.indpred is null and x.indexprs is null)
    )), '{}')
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname || '.' || c.relname = any ($4))
)::text
