-- 4. Licences that nobody used for 30 days
-- over run_user
select upn, max(case when kind <> 'history' and received > 0 then started_at end) as last_run_that_showed_anything
from roster
left join run_user using (user_id)
left join run on run.run_id = run_user.run_id
where roster.why = 'licensed' and coalesce(roster.excluded, '') <> 'plan-disabled'
  and roster.run_id = (select max_by(run_id, started_at) from run where kind = 'daily')
group by 1
having coalesce(max(case when kind <> 'history' and received > 0 then started_at end) < (select max(started_at) from run) - interval '30' day, true)
order by 2, 1;
