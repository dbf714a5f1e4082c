//! Success bodies: `data` with what comes beside it.

use serde::{Deserialize, Serialize};

/// `{"data": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data<T> {
    /// The answer.
    pub data: T,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The records or events of this page.
    pub data: Vec<T>,
    /// Where it stands in the whole.
    pub pagination: Pagination,
}

/// Where a page stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// How many items a page has at most.
    pub limit: u32,
    /// What gives the next page; null on the last one.
    pub next_cursor: Option<String>,
    /// How many there are in all, with `count=exact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// About how many there are in all, with `count=estimated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_says_null_and_counts_are_absent_unless_asked_for() {
        let page = Page::<u8> {
            data: vec![],
            pagination: Pagination { limit: 100, next_cursor: None, total: None, estimated: None },
        };
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            r#"{"data":[],"pagination":{"limit":100,"nextCursor":null}}"#
        );
    }
}
