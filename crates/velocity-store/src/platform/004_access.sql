-- Keys, revocations, sessions, and what happened at the doors.

create table platform.access_events (
  id uuid primary key default gen_random_uuid(),
  occurred_at timestamp with time zone not null default now(),
  kind text not null check (kind in ('DENIED', 'SENSITIVE_READ', 'ADMIN_USE', 'ADMINISTRATION')),
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
