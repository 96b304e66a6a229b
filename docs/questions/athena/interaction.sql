with stored as (
  select line, "$path" as segment from segment_line
  where user_id in ('00000000-0000-0000-0000-000000000000')
  union all
  select line, "$path" as segment from segment_line_unknown
  where user_id in ('00000000-0000-0000-0000-000000000000')
), told as (
  select
    json_extract_scalar(line, '$.user_id') as user_id,
    json_extract_scalar(line, '$.run_id') as run_id,
    from_iso8601_timestamp(json_extract_scalar(line, '$.fetched_at')) as fetched_at,
    json_extract_scalar(line, '$.interaction.sessionId') as session_id,
    json_extract_scalar(line, '$.interaction.requestId') as request_id,
    json_extract_scalar(line, '$.interaction.id') as id,
    coalesce(json_extract_scalar(line, '$.interaction.etag'), '') as etag,
    try(from_iso8601_timestamp(json_extract_scalar(line, '$.interaction.createdDateTime'))) as created_at,
    case json_extract_scalar(line, '$.interaction.interactionType')
      when 'userPrompt' then 'prompt' when 'aiResponse' then 'response' else 'other' end as role,
    json_extract_scalar(line, '$.interaction.appClass') as app_class,
    replace(json_extract_scalar(line, '$.interaction.appClass'), 'IPM.SkypeTeams.Message.Copilot.', '') as app,
    trim(regexp_replace(json_extract_scalar(line, '$.interaction.body.content'),
      if(json_extract_scalar(line, '$.interaction.body.contentType') = 'html', '<[^>]*>', '(<|&lt;)/?attachment( id="[^"]*")?(>|&gt;)'),
      '')) as body,
    json_extract_scalar(line, '$.interaction.attachments[0].content') as card,
    line, segment
  from stored
), found as (
  select *,
    case when body <> '' then body
      else nullif(concat_ws(chr(10), json_extract_scalar(card, '$.body[0].text'),
        if(json_extract_scalar(card, '$.body[1].id') = 'MessageTextField', null, json_extract_scalar(card, '$.body[1].text'))), '')
    end as words,
    row_number() over (partition by user_id, session_id, id, if(session_id is null or id is null, line, null)
      order by length(etag) desc, etag desc, fetched_at desc) = 1 as is_latest
  from told
), interaction as (
  select *,
    if(role = 'response' and app = 'Excel', coalesce(try(json_extract_scalar(words, '$.finalResponse')), words), words) as text
  from found
)
