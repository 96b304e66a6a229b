//! The environment with what the command line gives.

use domain::Env;

/// Variables, with the options of the same meaning in their place.
pub(crate) struct Given<'a> {
    pub(crate) env: &'a dyn Env,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
}

impl Env for Given<'_> {
    fn var(&self, name: &str) -> Option<String> {
        let given = match name {
            "GRAPH_TENANT_ID" => self.tenant,
            "GRAPH_CLIENT_ID" => self.client_id,
            _ => None,
        };
        given.map(str::to_owned).or_else(|| self.env.var(name))
    }
}
