-- Each field is taken apart by itself. A tag (`<a …>`) that one field begins and another ends swallows the words between them,
-- so that what is found in fields that a caller sees would depend on fields that the caller does not see.
create or replace function platform.search_words(language regconfig, variadic texts text[]) returns tsvector
language plpgsql immutable parallel safe as $$
declare
  words tsvector := '';
  part text;
begin
  foreach part in array texts loop
    if part is not null then
      words := words operator(pg_catalog.||) pg_catalog.to_tsvector(language, part);
    end if;
  end loop;
  return words;
end
$$;

-- What indexes remember is what the function said when they were made.
do $$
declare
  index regclass;
begin
  for index in
    select i.indexrelid::regclass from pg_index i
    where i.indexprs is not null and pg_get_indexdef(i.indexrelid) like '%platform.search_words(%'
  loop
    execute format('reindex index %s', index);
  end loop;
end
$$;
