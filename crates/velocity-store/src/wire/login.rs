//! Refuses to work as more than a login without rights of its own.

use std::fmt;

use super::{Connection, Params, Pipeline, Session, Statement, WireError};

/// What the login role has or can become, that it must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// An attribute such as `SUPERUSER`, of the login role or of one that it can become.
    Attribute {
        /// The role that has it.
        role: String,
        /// `SUPERUSER`, `BYPASSRLS`, `CREATEROLE`, `CREATEDB` or `REPLICATION`.
        attribute: &'static str,
    },
    /// It can become one of the server's predefined roles that stand above row-level security or read the
    /// server's files.
    Predefined {
        /// The predefined role.
        role: String,
    },
    /// A role owns something, and owners are above row-level security and grants.
    Owner {
        /// The owner.
        role: String,
        /// One of the things that it owns.
        object: String,
    },
    /// It has another role's rights without asking for them: a request whose role was not set would not
    /// fail.
    Inherits {
        /// The other role.
        role: String,
    },
}

/// Why a login is refused. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum PowerfulLogin {
    /// It has more rights than the API may have.
    #[error("{}", explain(login, powers))]
    Powers {
        /// The login role.
        login: String,
        /// What it has or can become.
        powers: Vec<Power>,
    },
    /// It could not be found out.
    #[error("cannot find out what the login role may do")]
    Unknown(#[from] WireError),
}

/// Every role that the login is or can become, with its attributes.
const ROLES: &str = "select r.rolname::text, r.rolname = session_user, r.rolsuper, r.rolbypassrls, \
     r.rolcreaterole, r.rolcreatedb, r.rolreplication, \
     r.rolname <> session_user and pg_has_role(session_user, r.oid, 'usage') \
     from pg_catalog.pg_roles r where pg_has_role(session_user, r.oid, 'member') order by r.rolname";

/// What any of these roles owns, in this and in other databases.
const OWNED: &str = "select r.rolname::text, case when d.dbid in (0, (select oid from pg_database where datname = current_database())) \
       then pg_describe_object(d.classid, d.objid, 0) \
       else 'something in database ' || (select datname from pg_database where oid = d.dbid) end \
     from pg_catalog.pg_shdepend d join pg_catalog.pg_roles r on r.oid = d.refobjid \
     where d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' \
       and pg_has_role(session_user, r.oid, 'member') order by 1, 2 limit 20";

const ATTRIBUTES: [&str; 5] = ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION"];

/// Predefined roles that only look at the server's workings.
const HARMLESS: [&str; 4] =
    ["pg_monitor", "pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"];

/// Checks that the connection's login role is, owns and can become nothing powerful.
///
/// Whoever takes over the API's process has what its login has: it must be no superuser, not above
/// row-level security, own nothing, and not be able to become anyone who is.
pub async fn refuse_powerful_login(connection: &Connection) -> Result<(), PowerfulLogin> {
    let statements = [ROLES, OWNED].map(|text| Statement::new(text, Params::new())).to_vec();
    let pipeline = Pipeline { session: Session::login(), statement_timeout: None, statements };
    let results = connection.pipeline(pipeline).await?;
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    let yes = |value: Option<&[u8]>| value == Some(&[1]);

    let mut login = String::new();
    let mut powers = Vec::new();
    for row in results.iter().take(1).flat_map(|result| result.rows().iter()) {
        let role = text(row.get(0));
        if yes(row.get(1)) {
            login.clone_from(&role);
        } else if role.starts_with("pg_") && !HARMLESS.contains(&&*role) {
            powers.push(Power::Predefined { role: role.clone() });
        }
        for (index, attribute) in ATTRIBUTES.into_iter().enumerate() {
            if yes(row.get(2 + index)) {
                powers.push(Power::Attribute { role: role.clone(), attribute });
            }
        }
        if yes(row.get(7)) {
            powers.push(Power::Inherits { role });
        }
    }
    for row in results.iter().skip(1).flat_map(|result| result.rows().iter()) {
        powers.push(Power::Owner { role: text(row.get(0)), object: text(row.get(1)) });
    }
    // A superuser is a member of everything: the rest of the list would only hide that.
    if powers
        .iter()
        .any(|power| matches!(power, Power::Attribute { role, attribute: "SUPERUSER" } if *role == login))
    {
        powers.retain(|power| matches!(power, Power::Attribute { role, .. } if *role == login));
    }
    if powers.is_empty() { Ok(()) } else { Err(PowerfulLogin::Powers { login, powers }) }
}

fn explain(login: &str, powers: &[Power]) -> String {
    let mut text = format!("the login role {login} has more rights than the API may have:");
    for power in powers {
        text.push_str("\n  - ");
        text.push_str(&power.to_string());
    }
    text
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute { role, attribute } => write!(
                f,
                "{role} has {attribute}; take it away with: alter role \"{role}\" no{}, or log in as another role",
                attribute.to_ascii_lowercase()
            ),
            Self::Predefined { role } => {
                write!(f, "it is a member of {role}; take that away with: revoke {role} from ...")
            }
            Self::Owner { role, object } => {
                write!(
                    f,
                    "{role} owns {object}; give it to the operator's role with: reassign owned by \"{role}\" to ..."
                )
            }
            Self::Inherits { role } => write!(
                f,
                "it has the rights of {role} without asking for them; switch that off with: alter role ... noinherit \
                 (from Postgres 16 on: grant \"{role}\" to ... with inherit false)"
            ),
        }
    }
}
