-- What tier 2 looks for words in, in the index and in the query. A function of ours: joining texts and taking them apart with
-- Postgres' own would need more of those marked leakproof than anyone should. Not in SQL, which would be inlined to them.
-- Fields without a value are passed over.
create function platform.search_words(language regconfig, variadic texts text[]) returns tsvector
language plpgsql immutable parallel safe as $$
begin
  return pg_catalog.to_tsvector(language, pg_catalog.array_to_string(texts, ' '));
end
$$;
revoke all on function platform.search_words(regconfig, text[]) from public;
grant execute on function platform.search_words(regconfig, text[]) to velocity_domain;
