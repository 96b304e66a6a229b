-- Views of this archive for DuckDB 2.0 or later. In this folder, or in the one above it:
--   duckdb -init duckdb.sql
-- From elsewhere, or for a copy in S3 (with httpfs and a secret), name the root and then read this file:
--   set variable root = 's3://bucket/prefix';
--   .read duckdb.sql
-- The views only read, and show what lies in the archive at the time they are asked. The rules by which `interaction` and
-- `turn` are made (T, K, V, P, version 1) stand in the project's docs/VIEWS.md; what SQL cannot do by them is NULL and
-- `unparsed`, and what DuckDB cannot parse is in `unparsed` and in no other view.
--
-- To ask for one person name the user_id as a constant: only that person's files are read then. A name in its place reads
-- everybody's:
--   set variable custodian = (select user_id from person where upn = 'adele@contoso.example');
--   select prompted_at, app, prompt, answer from turn where user_id = getvariable('custodian') order by 1;

-- Times and months are those of the archive, wherever it is read.
set timezone = 'UTC';

set variable root = coalesce(
  getvariable('root'),
  (select rtrim(regexp_replace(min(file), 'archive\.json$', ''), '/') from glob('archive.json') having count(*) = 1),
  (select regexp_replace(min(file), '[/\\]archive\.json$', '') from glob('*/archive.json') having count(*) = 1),
  '.');
set variable root = if(getvariable('root') = '', '.', getvariable('root'));

-- Lines are read as text and not as JSON: a JSON reader would spell numbers anew and stop at what it cannot read. The delimiter
-- is a character that cannot stand in JSON, so each line is one column. Where there is no file yet, DuckDB gives a table without
-- these columns, so one of no rows names them.
create or replace macro lines_of(files) as table
with found as (
  select null::varchar as line, null::varchar as filename where false
  union all by name
  from read_csv(getvariable('root') || files, columns = {'line': 'varchar'}, header = false, auto_detect = false,
    delim = chr(31), quote = '', escape = '', max_line_size = 40000000, filename = true, allow_empty = true)
)
select line, replace(filename, '\', '/') as file from found;

create or replace macro texts_of(files) as table
with found as (
  select null::varchar as content, null::varchar as filename where false
  union all by name
  from read_text(getvariable('root') || files, allow_empty = true)
)
select rtrim(content, chr(10)) as line, replace(filename, '\', '/') as file from found;

create or replace macro run_of(file) as regexp_extract(file, 'runs/([^/]+)/', 1);

-- One row per run with a report; it is closed if a ledger entry names it.
create or replace view run as
with report as (
  select line::json as j from texts_of('/runs/*/report.json') where json_valid(line)
), entry as (
  select line ->> '$.run_id' as run_id, (line ->> '$.n')::bigint as ledger_n, sha256(line || chr(10)) as ledger_sha256
  from texts_of('/ledger/*/entry-*.json') where json_valid(line)
)
select
  j ->> '$.run_id' as run_id,
  j ->> '$.kind' as kind,
  regexp_full_match(j ->> '$.run_id', '\d{8}T\d{6}Z(-history|-lookback)?') as scheduled,
  (j ->> '$.complete')::boolean as complete,
  (j ->> '$.users.enumerated')::bigint as enumerated,
  (j ->> '$.users.planned')::bigint as planned,
  (j ->> '$.users.exported')::bigint as exported,
  (j ->> '$.users.empty')::bigint as empty,
  coalesce(list_sum(cast(json_extract(j, '$.users.unavailable.*') as bigint[])), 0)::bigint as unavailable,
  (j ->> '$.users.deferred')::bigint as deferred,
  (j ->> '$.users.failed')::bigint as failed,
  (j ->> '$.users.missing')::bigint as missing,
  (j ->> '$.interactions.received')::bigint as received,
  (j ->> '$.interactions.new')::bigint as new,
  (j ->> '$.interactions.already_held')::bigint as already_held,
  (j ->> '$.interactions.recovered')::bigint as recovered,
  (j ->> '$.quarantined_pages')::bigint as quarantined_pages,
  (j ->> '$.requests.sent')::bigint as requests,
  (j ->> '$.requests.throttled')::bigint as throttled,
  (j ->> '$.history_remaining')::bigint as history_remaining,
  (j ->> '$.started_at')::timestamptz as started_at,
  (j ->> '$.closed_at')::timestamptz as closed_at,
  ledger_n, ledger_sha256
from report left join entry on entry.run_id = j ->> '$.run_id';

-- One row per run and planned user: how it ended, what was read. Class NULL is a user who is missing.
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
  (line ->> '$.covered_to')::timestamptz as covered_to,
  -- Each window by itself: a user may have several with time between them that was not read.
  list_transform(json_extract(line, '$.windows[*]'), lambda w: {
    'from': (w ->> '$.from')::timestamptz, 'to': (w ->> '$.to')::timestamptz}) as window_list
from lines_of('/runs/*/users.jsonl.zst') where json_valid(line);

-- Everybody ever enumerated, with the names of the newest roster. `licensed`: by the newest roster that asked for licences.
create or replace view person as
with enumerated as (
  select line, run_of(file) as run_id from lines_of('/runs/*/roster.jsonl.zst') where json_valid(line)
), begun as (
  select run_of(file) as run_id, try_cast(line ->> '$.started_at' as timestamptz) as started_at
  from texts_of('/runs/*/run.json') where json_valid(line)
)
select
  line ->> '$.user_id' as user_id,
  arg_max(line ->> '$.upn', started_at) as upn,
  arg_max(line ->> '$.display_name', started_at) as display_name,
  arg_max(line ->> '$.mail', started_at) as mail,
  arg_max(line ->> '$.user_type', started_at) as user_type,
  arg_max((line ->> '$.account_enabled')::boolean, started_at) as account_enabled,
  list_sort(list(distinct line ->> '$.upn') filter (line ->> '$.upn' is not null)) as upns,
  arg_max(coalesce(line ->> '$.excluded', '') <> 'plan-disabled', started_at)
    filter (line ->> '$.why' = 'licensed') as licensed,
  max(started_at) filter (line ->> '$.why' = 'licensed') as last_licensed,
  min(started_at) as first_enumerated, max(started_at) as last_enumerated,
  count(distinct run_id) as runs
from enumerated left join begun using (run_id)
group by 1;

-- The stored lines, verbatim.
create or replace view record as
with found as (
  select null::varchar as line, null::varchar as tenant_id, null::varchar as created_month, null::varchar as user_id,
    null::varchar as filename where false
  union all by name
  from read_csv(getvariable('root') || '/interactions/tenant_id=*/created_month=*/user_id=*/segment-*.jsonl.zst',
    columns = {'line': 'varchar'}, header = false, auto_detect = false, delim = chr(31), quote = '', escape = '',
    max_line_size = 70000000, filename = true, allow_empty = true, hive_partitioning = true, hive_types_autocast = false)
)
select line, tenant_id, created_month, user_id,
  regexp_extract(replace(filename, '\', '/'), 'interactions/tenant_id=.*$') as segment
from found;

-- Lines that DuckDB cannot parse, a lone surrogate for example: in this view alone. The archive holds them as they are.
create or replace view unparsed as
select segment as file, line from record where not json_valid(line)
union all by name select file, line from lines_of('/runs/*/roster.jsonl.zst') where not json_valid(line)
union all by name select file, line from lines_of('/runs/*/users.jsonl.zst') where not json_valid(line)
union all by name select file, line from texts_of('/runs/*/report.json') where not json_valid(line)
union all by name select file, line from texts_of('/runs/*/run.json') where not json_valid(line)
union all by name select file, line from texts_of('/ledger/*/entry-*.json') where not json_valid(line);

-- JSON. DuckDB takes the first of repeated members; the rule is that the last counts.
create or replace macro last_member(j, name) as
  list_extract(json_extract(j, '$.*'), len(json_keys(j)) + 1 - list_position(list_reverse(json_keys(j)), name));
create or replace macro once(j) as
  case when len(json_keys(j)) = len(list_distinct(json_keys(j))) then j
  else to_json(map(list_distinct(json_keys(j)),
    list_transform(list_distinct(json_keys(j)), lambda name: last_member(j, name)))) end;
-- A member that is a string; anything else is absent.
create or replace macro string_at(j, path) as case when json_type(j, path) = 'VARCHAR' then json_extract_string(j, path) end;
create or replace macro elements(j, path) as
  list_transform(list_filter(json_extract(j, path), lambda e: json_type(e) <> 'NULL'), lambda e: once(e));
create or replace macro objects(j, path) as list_filter(elements(j, path), lambda e: json_type(e) = 'OBJECT');

-- Text.
create or replace macro trimmed(t) as regexp_replace(t, '^[\t-\r\x{85}\p{Z}]+|[\t-\r\x{85}\p{Z}]+$', '', 'g');
create or replace macro tidy(t) as
  trimmed(replace(replace(replace(t, chr(13) || chr(10), chr(10)), chr(13), chr(10)), chr(160), ' '));
create or replace macro without_placeholders(t) as regexp_replace(t,
  '</attachment[\t-\r\x{85}\p{Z}]*>|&lt;/attachment[\t-\r\x{85}\p{Z}]*&gt;'
  || '|<attachment[\t-\r\x{85}\p{Z}]+id=(?:"[^"]{0,256}"|''[^'']{0,256}''|&quot;[^&]{0,256}&quot;)[\t-\r\x{85}\p{Z}]*/?>'
  || '|&lt;attachment[\t-\r\x{85}\p{Z}]+id=(?:"[^"]{0,256}"|''[^'']{0,256}''|&quot;[^&]{0,256}&quot;)[\t-\r\x{85}\p{Z}]*/?&gt;',
  '', 'g');
create or replace macro unescaped(t) as replace(replace(replace(replace(replace(replace(replace(t,
  '&lt;', '<'), '&gt;', '>'), '&quot;', '"'), '&#39;', ''''), '&apos;', ''''), '&nbsp;', ' '), '&amp;', '&');


-- HTML: tags and comments of the usual form, the escapes above, those named below, and numbers. A text with anything else is
-- not understood, and NULL. Four characters that mean nothing stand for what a tag leaves behind until escapes are decoded:
-- nothing (U+E000), a line end (U+E001), a line end unless one is there (U+E002), a space unless one is there (U+E003).
create or replace macro html_attributes() as
  '(?:\s+[^\s"''<>/=]+(?:\s*=\s*(?:"[^"<>\x{E000}]*"|''[^''<>\x{E000}]*''|[^\s"''<>=`\x{E000}]+))?)*';
create or replace macro html_tag(names) as '(?i)</?(?:' || names || ')' || html_attributes() || '\s*/?>';
create or replace macro html_picture() as
  '(?i)<img' || html_attributes() || '?\s+alt\s*=\s*(?:"([^"<>\x{E000}]*)"|''([^''<>\x{E000}]*)'')' || html_attributes() || '\s*/?>';
create or replace macro html_tags_out(t) as regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
  regexp_replace(regexp_replace(replace(replace(t, chr(13) || chr(10), chr(10)), chr(13), chr(10)),
  '<!--(?:[^>-](?:[^-]|-[^-])*)?-->', chr(57344), 'g'),
  html_picture(),
    chr(57344) || '\1\2' || chr(57344), 'g'),
  '(?i)</br' || html_attributes() || '\s*/?>', chr(57344), 'g'),
  html_tag('br'), chr(57345), 'g'),
  html_tag('address|article|blockquote|dd|div|dl|dt|figure|footer|h[1-6]|header|hr|li|ol|p|pre|section|tr|ul'), chr(57346), 'g'),
  '(?i)<(?:td|th)' || html_attributes() || '\s*/?>', chr(57347), 'g'),
  html_tag('[a-z][a-z0-9:-]*'), chr(57344), 'g');
create or replace macro html_names() as [['hellip', '…'], ['mdash', '—'], ['ndash', '–'], ['rsquo', '’'], ['lsquo', '‘'],
  ['rdquo', '”'], ['ldquo', '“'], ['bull', '•'], ['middot', '·'], ['euro', '€'], ['copy', '©'], ['reg', '®'], ['deg', '°'],
  ['times', '×'], ['auml', 'ä'], ['ouml', 'ö'], ['uuml', 'ü'], ['Auml', 'Ä'], ['Ouml', 'Ö'], ['Uuml', 'Ü'], ['szlig', 'ß'],
  ['eacute', 'é'], ['egrave', 'è'], ['agrave', 'à'], ['ccedil', 'ç'], ['ntilde', 'ñ']];
create or replace macro html_code(reference) as
  case when reference[3] in ('x', 'X') then ('0x' || reference[4:-2])::bigint else reference[3:-2]::bigint end;
create or replace macro html_references(t) as list_distinct(regexp_extract_all(t, '&#(?:[0-9]{1,7}|[xX][0-9a-fA-F]{1,6});'));
create or replace macro html_is_understood(t, tags_out) as
  not regexp_matches(t, '[\x{E000}-\x{F8FF}\x{0}]|(?i:<(?:script|style|textarea|title|xmp|iframe|noembed|noframes|noscript|plaintext)\b)')
  and not regexp_matches(tags_out, '<[A-Za-z/!?]')
  and not regexp_matches(regexp_replace(t, html_picture(), '', 'g'), '(?i)<[a-z][^<>]*\salt[\s=/>]')
  and not regexp_matches(regexp_replace(tags_out, '&(?:lt|gt|amp|quot|apos|nbsp|'
    || list_aggregate(list_transform(html_names(), lambda n: n[1]), 'string_agg', '|')
    || '|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});', chr(57344), 'g'), '&[A-Za-z#]')
  and len(list_filter(html_references(tags_out), lambda r: not (html_code(r) in (9, 10) or html_code(r) between 32 and 126
    or html_code(r) between 160 and 55295 or html_code(r) between 63744 and 64975 or html_code(r) between 65040 and 65533
    or html_code(r) between 65536 and 131069))) = 0;
create or replace macro html_decoded(t) as unescaped(list_reduce(list_prepend(
    list_reduce(list_prepend(t, html_references(t)),
      lambda done, r: replace(done, r, if(html_code(r) = 38, '&amp;', chr(html_code(r)::integer)))),
    list_transform(html_names(), lambda n: n[1] || n[2])),
  lambda done, n: replace(done, '&' || n[:-2] || ';', n[-1:])));
create or replace macro html_laid_out(t) as tidy(translate(
  regexp_replace(regexp_replace(regexp_replace(replace(t, chr(57344), ''),
    '(^|[\t-\r\x{85}\p{Z}\x{E001}\x{E002}])\x{E003}+', '\1', 'g'),
    '(^|[\n\x{E001}])\x{E002}+', '\1', 'g'),
    '\x{E002}+|\x{E001}', chr(10), 'g'), chr(57347), ' '));

-- Adaptive cards, as a list of elements with their place (k, compared item by item: the order of the document). SQL has no
-- recursive expressions, so the list is unfolded as often as elements may lie in each other; what lies deeper, and elements with
-- a member twice, are not understood.
create or replace macro card_children(e) as list_filter(list_concat(json_extract(e, '$.body[*]'), json_extract(e, '$.items[*]'),
  json_extract(e, '$.columns[*]'), json_extract(e, '$.rows[*]'), json_extract(e, '$.cells[*]'), json_extract(e, '$.pages[*]'),
  json_extract(e, '$.inlines[*]')), lambda c: json_type(c) <> 'NULL');
create or replace macro card_holds_none(e) as coalesce(string_at(e, '$.type'), '') in ('RichTextBlock', 'FactSet');
create or replace macro card_unfolded(elements) as flatten(list_transform(elements, lambda x: if(x.seen, [x],
  list_prepend({'k': x.k, 'e': x.e, 'seen': true}, if(card_holds_none(x.e), [],
    list_transform(card_children(x.e), lambda c, i: {'k': list_append(x.k, i), 'e': c, 'seen': false}))))));
create or replace macro card_elements(cards) as
  card_unfolded(card_unfolded(card_unfolded(card_unfolded(card_unfolded(card_unfolded(card_unfolded(card_unfolded(
  card_unfolded(card_unfolded(card_unfolded(card_unfolded(
    list_transform(cards, lambda card, i: {'k': [i], 'e': card, 'seen': false})))))))))))));
create or replace macro card_strings(e, path) as list_transform(json_extract(e, path), lambda s: string_at(s, '$'));
create or replace macro card_words(e) as case string_at(e, '$.type')
  when 'RichTextBlock' then list_aggregate(list_transform(json_extract(e, '$.inlines[*]'),
    lambda i: coalesce(string_at(i, '$'), string_at(i, '$.text'))), 'string_agg', '')
  when 'FactSet' then list_aggregate(list_transform(json_extract(e, '$.facts[*]'),
    lambda f: if(json_type(f) = 'NULL', null, coalesce(string_at(f, '$.title'), '') || ': ' || coalesce(string_at(f, '$.value'), ''))),
    'string_agg', chr(10))
  else string_at(e, '$.text') end;
create or replace macro card_is_unknown(e) as not card_holds_none(e) and len(card_children(e)) = 0
  and coalesce(trimmed(string_at(e, '$.text')), '') = ''
  and coalesce(string_at(e, '$.type'), '') not in ('AdaptiveCard', 'TextBlock', 'Container', 'ColumnSet', 'Column',
    'Image', 'ImageSet', 'Media', 'ActionSet', 'Icon', 'ProgressBar', 'ProgressRing', 'Rating');
create or replace macro card_is_understood(elements) as coalesce(list_bool_and(list_transform(elements,
  lambda x: x.e is not null and x.seen and len(json_keys(x.e)) = len(list_distinct(json_keys(x.e))))), true);
create or replace macro card_lines(elements) as list_transform(list_sort(elements), lambda x: {
  'words': card_words(x.e), 'again': coalesce(string_at(x.e, '$.id') = 'MessageTextField', false)});
create or replace macro card_joined(lines, repeated) as list_aggregate(list_transform(
  list_filter(lines, lambda n: n.again = repeated and trimmed(n.words) <> ''), lambda n: n.words), 'string_agg', chr(10));
create or replace macro card_text(lines) as nullif(tidy(coalesce(card_joined(lines, false), card_joined(lines, true))), '');
-- The cards of an item; one that is no card, or that DuckDB cannot parse, is NULL.
create or replace macro cards_of(item) as list_transform(
  list_filter(objects(item, '$.attachments[*]'),
    lambda a: string_at(a, '$.contentType') = 'application/vnd.microsoft.card.adaptive'),
  lambda a: case when json_type(a, '$.content') = 'OBJECT' then once(json_extract(a, '$.content'))
    when json_valid(string_at(a, '$.content')) then
      case when json_type(string_at(a, '$.content')) = 'OBJECT' then once(string_at(a, '$.content')::json) end end);

-- Links: one that is listed a second time with a parameter of the service's own is left out.
create or replace macro references_of(item, path, kind, name, url) as list_transform(objects(item, path), lambda e:
  {'type': string_at(e, kind), 'name': string_at(e, name), 'url': string_at(e, url)});
create or replace macro plain_address(url) as nullif(regexp_extract(url, '(?s)^(.*)[&?]EntityRepresentationId=[A-Za-z0-9-]*$', 1), '');
create or replace macro without_twins(links) as list_filter(links, lambda l: not coalesce(list_contains(
  list_transform(list_filter(links, lambda o: plain_address(o.url) is null), lambda o: o.url), plain_address(l.url)), false));

-- An item as it stands, one row per stored text.
create or replace view item as
with parsed as (
  select tenant_id, user_id, created_month, segment, line, line::json as stored, once(json_extract(line, '$.interaction')) as j
  from record where json_valid(line)
), member as (
  select *,
    string_at(j, '$.interactionType') as interaction_type,
    string_at(j, '$.appClass') as app_class,
    string_at(j, '$.createdDateTime') as created,
    once(json_extract(j, '$.body')) as sent,
    once(json_extract(once(json_extract(j, '$.from')), '$.application')) as application,
    cards_of(j) as cards
  from parsed
), told as (
  select *,
    case interaction_type when 'userPrompt' then 'prompt' when 'aiResponse' then 'response' else 'other' end as role,
    regexp_replace(app_class, '^IPM\.SkypeTeams\.Message\.Copilot\.', '') as app,
    string_at(sent, '$.contentType') as body_type,
    string_at(sent, '$.content') as body,
    without_placeholders(string_at(sent, '$.content')) as kept,
    card_elements(cards) as elements_of_cards
  from member
), tagged as (
  select *, case when body_type = 'html' then html_tags_out(kept) end as tags_out from told
), shown as (
  select *, case
    when kept is null then ''
    when body_type is distinct from 'html' then tidy(unescaped(kept))
    when html_is_understood(kept, tags_out) then html_laid_out(html_decoded(tags_out)) end as in_body
  from tagged
), found as (
  select *,
    case when in_body <> '' then in_body when in_body = '' then coalesce(
      case when card_is_understood(elements_of_cards) then card_text(card_lines(elements_of_cards)) end,
      case when len(cards) = 0 and trimmed(body) = '' then '' end) end as words
  from shown
), answered as (
  select *,
    case when role = 'response' and app = 'Excel' and json_valid(words) then
      nullif(trimmed(string_at(once(words::json), '$.finalResponse')), '') end as final_response,
    -- Half a surrogate pair in it: JSON for others, none for DuckDB.
    coalesce(role = 'response' and app = 'Excel' and not json_valid(words) and contains(words, '"finalResponse"')
      and regexp_matches(words, '\\u[dD][89a-fA-F]'), false) as unsure
  from found
)
select
  tenant_id, user_id,
  string_at(j, '$.sessionId') as session_id, string_at(j, '$.requestId') as request_id,
  string_at(j, '$.id') as id, string_at(j, '$.etag') as etag,
  case when regexp_full_match(created, '\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})')
    then try_cast(created as timestamptz) end as created_at,
  try_cast(stored ->> '$.fetched_at' as timestamptz) as fetched_at,
  role, interaction_type, app, app_class,
  string_at(j, '$.conversationType') as conversation_type, string_at(j, '$.locale') as locale,
  string_at(application, '$.displayName') as assistant_name,
  case when not unsure then coalesce(final_response, words) end as text,
  case when unsure or words is null then 'unparsed' when final_response is not null then 'final-response'
    when in_body <> '' then 'body' when words = '' then 'empty' else 'card' end as text_source,
  body_type, body,
  case when in_body <> '' then 0
    when in_body = '' and card_is_understood(elements_of_cards)
    then len(list_filter(elements_of_cards, lambda x: card_is_unknown(x.e))) end as skipped_elements,
  without_twins(references_of(j, '$.links[*]', '$.linkType', '$.displayName', '$.linkUrl')) as links,
  references_of(j, '$.contexts[*]', '$.contextType', '$.displayName', '$.contextReference') as contexts,
  references_of(j, '$.attachments[*]', '$.contentType', '$.name', '$.contentUrl') as attachments,
  len(elements(j, '$.mentions[*]')) as mentions,
  stored ->> '$.run_id' as run_id, stored ->> '$.attempt_id' as attempt_id,
  created_month, segment, line
from answered;

-- Items with their owner, as versions, and as near duplicates. The windows are over a user's rows, so that a user_id that is
-- named still reads that user's files only.
create or replace view interaction as
with ruled as (
  select *, sha256(line) as record_sha256,
    -- Without a conversation and an id a text is an item of its own.
    case when session_id is null or id is null then sha256(line) end as alone,
    case
      when app = 'PredictiveChat' then 'predictive-chat'
      when starts_with(text, '[AutoGenerated]') then 'auto-generated'
      when app = 'Outlook' and contains(concat(text, chr(10), body), 'VisualTheming') then 'visual-theming'
      when app = 'Outlook' and contains(concat(text, chr(10), body), 'data:image') then 'theme-image'
      when app = 'Outlook' and starts_with(text, 'Summarize this email thread') then 'thread-summary'
    end as automatic_reason,
    coalesce(role = 'response' and starts_with(text, 'Searching') and (ends_with(text, '…') or ends_with(text, '...'))
      and length(text) <= 120, false) as is_interim
  from item
), versioned as (
  select *,
    row_number() over (partition by tenant_id, user_id, session_id, id, alone
      order by strlen(coalesce(etag, '')), coalesce(etag, ''), fetched_at, record_sha256) as version_no,
    count(*) over (partition by tenant_id, user_id, session_id, id, alone) as versions
  from ruled
), comparable as (
  select *, version_no = versions as is_latest,
    coalesce(version_no = versions and session_id is not null and text <> '' and created_at is not null, false) as compares
  from versioned
), compared as (
  select *,
    lag({'id': id, 'at': created_at}) over (partition by tenant_id, user_id, session_id, role, text, compares
      order by created_at, strlen(coalesce(id, '')), coalesce(id, ''), record_sha256) as before
  from comparable
)
select
  i.tenant_id, i.user_id, p.upn, p.display_name, session_id, id, etag, version_no, is_latest, request_id,
  created_at, cast(created_at at time zone 'UTC' as date) as created_date, fetched_at,
  epoch(fetched_at) - epoch(created_at) as lateness_s,
  role, interaction_type, app, app_class, conversation_type, locale, assistant_name,
  text, text_source, length(text) as text_chars, body_type, body, skipped_elements,
  automatic_reason, is_interim,
  case when compares and before.id is distinct from id and epoch_us(created_at) - epoch_us(before.at) <= 5000000
    then before.id end as near_duplicate_of,
  links, contexts, attachments, mentions,
  run_id, attempt_id, created_month, segment, record_sha256,
  -- The item as Graph sent it: the members before it are written by the program and hold no such text.
  substr(line, strpos(line, '"interaction":') + 14, length(line) - strpos(line, '"interaction":') - 14) as raw,
  1 as rule_version
from compared i left join person p on p.user_id = i.user_id;

-- Prompts with what answers them.
create or replace view turn as
with latest as (
  select *,
    row_number() over (partition by tenant_id, user_id
      order by created_at nulls first, role, strlen(coalesce(id, '')), coalesce(id, ''), record_sha256) as place
  from interaction where is_latest and role <> 'other'
), asked as (
  select *,
    count(*) filter (where role = 'prompt') over (partition by tenant_id, user_id, request_id) > 0 as is_asked,
    last_value(case when role = 'prompt' then coalesce('request ' || request_id, 'record ' || record_sha256) end ignore nulls)
      over (partition by tenant_id, user_id, session_id order by place rows unbounded preceding) as asked_before
  from latest
), keyed as (
  select *,
    case
      when request_id is not null and is_asked then 'request ' || request_id
      when role = 'response' and request_id is null and session_id is not null and asked_before is not null then asked_before
      else 'record ' || record_sha256 end as key,
    case when role = 'response' then case
      when request_id is not null then if(is_asked, 'request_id', 'none')
      when session_id is not null and asked_before is not null then 'adjacency'
      else 'none' end end as paired
  from asked
)
select
  tenant_id, user_id, any_value(upn) as upn, first(session_id order by role, place) as session_id,
  first(coalesce(request_id, id) order by role, place) as turn_id,
  first(app order by role, place) as app,
  min(created_at) filter (role = 'prompt') as prompted_at,
  case when count(*) filter (role = 'response' and not is_interim) > 0
    then first(created_at order by place) filter (role = 'response' and not is_interim)
    else first(created_at order by place) filter (role = 'response') end as answered_at,
  (epoch_us(answered_at) - epoch_us(prompted_at)) // 1000 as latency_ms,
  string_agg(text, chr(10) order by place) filter (role = 'prompt') as prompt,
  case when count(*) filter (role = 'response' and not is_interim) > 0
    then string_agg(text, chr(10) order by place) filter (role = 'response' and not is_interim)
    else string_agg(text, chr(10) order by place) filter (role = 'response') end as answer,
  count(*) filter (role = 'prompt') as prompts,
  count(*) filter (role = 'response') as answers,
  case when bool_and(automatic_reason is not null) filter (role = 'prompt')
      or (count(*) filter (role = 'prompt') = 0 and bool_and(automatic_reason is not null))
    then first(automatic_reason order by role, place) end as automatic_reason,
  case when bool_or(paired = 'adjacency') then 'adjacency' when bool_or(paired = 'request_id') then 'request_id'
    else 'none' end as paired_by,
  list(record_sha256 order by role, place) as records
from keyed group by tenant_id, user_id, key;
