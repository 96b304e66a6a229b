-- Views of this archive for DuckDB 1.2 or later. In this folder, or in the one above it:
--   duckdb -init duckdb.sql
-- From elsewhere, or for a copy in S3 (with httpfs and a secret), name the root and then read this file:
--   set variable root = 's3://bucket/prefix';
--   .read duckdb.sql
-- The views only read, and show what lies in the archive at the time they are asked.

set variable root = coalesce(
  getvariable('root'),
  (select rtrim(regexp_replace(min(file), 'archive\.json$', ''), '/') from glob('archive.json') having count(*) = 1),
  (select regexp_replace(min(file), '[/\\]archive\.json$', '') from glob('*/archive.json') having count(*) = 1),
  '.');
set variable root = if(getvariable('root') = '', '.', getvariable('root'));

-- The stored lines, verbatim. They are read as text and not as JSON: a JSON reader would spell numbers anew and stop at
-- what it cannot read. The delimiter is a character that cannot stand in JSON, so each line is one column.
create or replace view record as
select line, tenant_id, created_month, user_id, filename as segment
from read_csv(getvariable('root') || '/interactions/tenant_id=*/created_month=*/user_id=*/segment-*.jsonl.zst',
  columns = {'line': 'varchar'}, header = false, auto_detect = false, delim = chr(31), quote = '', escape = '',
  max_line_size = 40000000, hive_partitioning = true, hive_types_autocast = false, filename = true);

-- Lines that DuckDB cannot parse, a lone surrogate for example: counted here, in no other view. The archive holds them.
create or replace view unparsed as
select * from record where not json_valid(line);

create or replace view interaction as
with parsed as (
  select *, case when json_valid(line) then line end as json from record
)
select
  tenant_id, user_id,
  json ->> '$.interaction.sessionId' as session_id,
  json ->> '$.interaction.requestId' as request_id,
  json ->> '$.interaction.id' as id,
  json ->> '$.interaction.etag' as etag,
  try_cast(json ->> '$.interaction.createdDateTime' as timestamptz) as created_at,
  case json ->> '$.interaction.interactionType'
    when 'userPrompt' then 'prompt' when 'aiResponse' then 'response' else 'other' end as role,
  json ->> '$.interaction.interactionType' as interaction_type,
  regexp_replace(json ->> '$.interaction.appClass', '^IPM\.SkypeTeams\.Message\.Copilot\.', '') as app,
  json ->> '$.interaction.appClass' as app_class,
  json ->> '$.interaction.conversationType' as conversation_type,
  json ->> '$.interaction.locale' as locale,
  coalesce(json ->> '$.interaction.from.user.displayName', json ->> '$.interaction.from.application.displayName') as sender,
  json ->> '$.interaction.body.contentType' as body_type,
  json ->> '$.interaction.body.content' as body,
  -- Answers of some applications lie in an attached card, with only a placeholder in the body.
  json -> '$.interaction.attachments' as attachments,
  json -> '$.interaction.links' as links,
  json -> '$.interaction.contexts' as contexts,
  json -> '$.interaction.mentions' as mentions,
  try_cast(json ->> '$.fetched_at' as timestamptz) as fetched_at,
  json ->> '$.run_id' as run_id,
  json ->> '$.attempt_id' as attempt_id,
  created_month, segment,
  -- The item as Graph sent it: the members before it are written by the program and hold no such text.
  substr(line, strpos(line, '"interaction":') + 14, length(line) - strpos(line, '"interaction":') - 14) as raw
from parsed
where json is not null;

-- Everybody ever enumerated, with the names of the newest roster.
create or replace view person as
with rosters as (
  select line, regexp_extract(filename, 'runs[/\\]([^/\\]+)[/\\]roster', 1) as run_id
  from read_csv(getvariable('root') || '/runs/*/roster.jsonl.zst', columns = {'line': 'varchar'}, header = false,
    auto_detect = false, delim = chr(31), quote = '', escape = '', max_line_size = 40000000, filename = true)
  where json_valid(line)
), dated as (
  select r.line, r.run_id, try_cast(json_extract_string(f.content, '$.started_at') as timestamptz) as started_at
  from rosters r left join read_text(getvariable('root') || '/runs/*/run.json') f
    on r.run_id = regexp_extract(f.filename, 'runs[/\\]([^/\\]+)[/\\]run\.json$', 1)
)
select
  line ->> '$.user_id' as user_id,
  arg_max(line ->> '$.upn', started_at) as upn,
  arg_max(line ->> '$.display_name', started_at) as display_name,
  arg_max(line ->> '$.mail', started_at) as mail,
  arg_max(line ->> '$.user_type', started_at) as user_type,
  arg_max((line ->> '$.account_enabled')::boolean, started_at) as account_enabled,
  list_sort(list(distinct line ->> '$.upn') filter (line ->> '$.upn' is not null)) as upns,
  min(started_at) as first_enumerated, max(started_at) as last_enumerated,
  count(distinct run_id) as runs
from dated group by 1;

-- One row per closed run.
create or replace view run as
select
  content ->> '$.run_id' as run_id,
  content ->> '$.kind' as kind,
  (content ->> '$.complete')::boolean as complete,
  (content ->> '$.users.enumerated')::bigint as enumerated,
  (content ->> '$.users.planned')::bigint as planned,
  (content ->> '$.users.exported')::bigint as exported,
  (content ->> '$.users.empty')::bigint as empty,
  coalesce(list_sum(cast(json_extract(content, '$.users.unavailable.*') as bigint[])), 0)::bigint as unavailable,
  (content ->> '$.users.deferred')::bigint as deferred,
  (content ->> '$.users.failed')::bigint as failed,
  (content ->> '$.users.missing')::bigint as missing,
  (content ->> '$.interactions.received')::bigint as received,
  (content ->> '$.interactions.new')::bigint as new,
  (content ->> '$.interactions.already_held')::bigint as already_held,
  (content ->> '$.interactions.recovered')::bigint as recovered,
  (content ->> '$.quarantined_pages')::bigint as quarantined_pages,
  (content ->> '$.requests.sent')::bigint as requests,
  (content ->> '$.requests.throttled')::bigint as throttled,
  (content ->> '$.history_remaining')::bigint as history_remaining,
  (content ->> '$.started_at')::timestamptz as started_at,
  (content ->> '$.closed_at')::timestamptz as closed_at
from read_text(getvariable('root') || '/runs/*/report.json');

-- One row per closed run and planned user.
create or replace view run_user as
select
  line ->> '$.run_id' as run_id,
  line ->> '$.user_id' as user_id,
  line ->> '$.class' as class,
  line ->> '$.reason' as reason,
  list_min(cast(json_extract_string(line, '$.windows[*].from') as timestamptz[])) as window_from,
  list_max(cast(json_extract_string(line, '$.windows[*].to') as timestamptz[])) as window_to,
  len(json_extract(line, '$.windows[*]')) as windows,
  (line ->> '$.pages')::bigint as pages,
  (line ->> '$.received')::bigint as received,
  (line ->> '$.new')::bigint as new,
  (line ->> '$.already_held')::bigint as already_held,
  len(json_extract(line, '$.segments[*]')) as segments,
  len(json_extract(line, '$.quarantine[*]')) as quarantined_pages,
  (line ->> '$.covered_from')::timestamptz as covered_from,
  (line ->> '$.covered_to')::timestamptz as covered_to
from read_csv(getvariable('root') || '/runs/*/users.jsonl.zst', columns = {'line': 'varchar'}, header = false,
  auto_detect = false, delim = chr(31), quote = '', escape = '', max_line_size = 40000000)
where json_valid(line);
