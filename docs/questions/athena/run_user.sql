with roster as (
  select json_extract_scalar(line, '$.user_id') as user_id, json_extract_scalar(line, '$.upn') as upn,
    json_extract_scalar(line, '$.why') as why, json_extract_scalar(line, '$.excluded') as excluded,
    regexp_extract("$path", 'runs/([^/]+)/', 1) as run_id
  from run_line where "$path" like '%/roster.jsonl.zst'
), run_user as (
  select json_extract_scalar(line, '$.run_id') as run_id, json_extract_scalar(line, '$.user_id') as user_id,
    json_extract_scalar(line, '$.class') as class, json_extract_scalar(line, '$.reason') as reason,
    cast(json_extract_scalar(line, '$.received') as bigint) as received,
    cast(json_extract(line, '$.windows') as array(json)) as windows
  from run_line where "$path" like '%/users.jsonl.zst'
), run as (
  select json_extract_scalar(line, '$.run_id') as run_id, json_extract_scalar(line, '$.kind') as kind,
    json_extract_scalar(line, '$.complete') as complete,
    from_iso8601_timestamp(json_extract_scalar(line, '$.started_at')) as started_at
  from run_line where "$path" like '%/report.json'
)
