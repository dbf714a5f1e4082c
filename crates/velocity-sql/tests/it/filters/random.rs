//! Random records, and random filters that type-check most of the time.

use velocity_schema::{FieldType, Value, decimal, time};

/// SplitMix64: the same numbers on every run, so that a failure can be repeated.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

const TEXTS: [&str; 20] = [
    "", "a", "A", "b", "EU", "eu", "US", "é", "É", "z", "ss", "ß", "\u{fffd}", "😀", "it's", "\\", "%",
    "a_b", "EU-é", "draft",
];
const NUMBERS: [&str; 12] =
    ["0", "1", "-1", "0.01", "-0.01", "10.5", "10.50", "7", "9999999999999999.99", "-123.45", "3", "2.00"];
const INTEGERS: [i64; 9] = [0, 1, -1, 2, 3, 7, 100, i64::MAX, i64::MIN];
const TIMES: [&str; 9] = [
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "2024-02-29T13:14:15.678901Z",
    "2024-02-29T00:00:00Z",
    "2000-01-01T00:00:00Z",
    "2023-12-31T23:59:59.5Z",
    "9999-12-31T23:59:59.999999Z",
    "2024-03-31T01:30:00Z",
];
const DAYS: [&str; 6] = ["0001-01-01", "1970-01-01", "2024-02-29", "2024-03-01", "9999-12-31", "2023-01-01"];
const CLOCKS: [&str; 5] = ["00:00:00", "08:30:00", "12:00:00.000001", "23:59:59.999999", "09:00:00"];
const UUIDS: [&str; 3] = [
    "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
];
const DOCUMENTS: [&str; 14] = [
    r#"{"a":1,"b":"EU","c":true,"list":["EU","a",5,null]}"#,
    r#"{"a":10.50,"b":"\u00e9","c":false,"list":[]}"#,
    r#"{"a":"x","b":5,"c":null,"list":"EU"}"#,
    r#" { "a" : { "b" : [ 1 , { "c" : "z" } ] } , "b" : null } "#,
    r#"{"a":1,"a":2,"b":"a","b":"b"}"#,
    r#"{"a":-0.0,"b":"it's \"quoted\" \\","c":1e2,"list":[5,5.0,"5",[5]]}"#,
    r#"{"a":123456789012345678901234567890.5,"list":[[],{},"US",true]}"#,
    r#"{"list":{"EU":1,"a":2},"a":[],"b":{}}"#,
    r#"["EU",5,"a"]"#,
    r#""EU""#,
    "5",
    "true",
    "null",
    "{}",
];

/// A value of the type; a quarter are null.
pub(crate) fn value(random: &mut Random, kind: &FieldType) -> Value {
    if random.below(4) == 0 { Value::Null } else { present(random, kind) }
}

fn present(random: &mut Random, kind: &FieldType) -> Value {
    match kind {
        FieldType::String { .. } => Value::String(random.pick(&TEXTS).to_owned()),
        FieldType::Integer { .. } => Value::Integer(INTEGERS[random.below(INTEGERS.len())]),
        FieldType::Number { scale, .. } => {
            let text = random.pick(&NUMBERS);
            let number = decimal::parse(text).unwrap();
            // More decimals than other fields have, where there is room.
            Value::Number(if *scale > 2 && random.below(2) == 0 {
                number + decimal::parse("0.0000000001").unwrap()
            } else {
                number
            })
        }
        FieldType::Boolean => Value::Boolean(random.below(2) == 0),
        FieldType::Timestamp => Value::Timestamp(time::parse_timestamp(random.pick(&TIMES)).unwrap()),
        FieldType::Date => Value::Date(time::parse_date(random.pick(&DAYS)).unwrap()),
        FieldType::Time => Value::Time(time::parse_time(random.pick(&CLOCKS)).unwrap()),
        FieldType::Json => Value::Json(random.pick(&DOCUMENTS).to_owned()),
        FieldType::Enum { values } => Value::String(values[random.below(values.len())].clone()),
        FieldType::Uuid => Value::Uuid(random.pick(&UUIDS).parse().unwrap()),
        FieldType::Bytes { .. } => {
            let length = random.below(4);
            Value::Bytes((0..length).map(|_| [0, 1, 92, 255][random.below(4)]).collect())
        }
        FieldType::Array { items, .. } => {
            let length = random.below(4);
            Value::Array((0..length).map(|_| present(random, items)).collect())
        }
    }
}

/// Makes filters.
pub(crate) struct Generator {
    random: Random,
    with_actor: bool,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed.wrapping_mul(0x1234_5678_9abc_def1)), with_actor: true }
    }

    pub(crate) fn without_actor(seed: u64) -> Self {
        Self { with_actor: false, ..Self::new(seed) }
    }

    fn any(&mut self, of: &[&'static str]) -> String {
        self.random.pick(of).to_owned()
    }

    /// One of the record's expressions, or one of the actor's where there is an actor.
    fn leaf(&mut self, record: &[&'static str], actor: &[&'static str]) -> String {
        if self.with_actor && !actor.is_empty() && self.random.below(3) == 0 {
            self.any(actor)
        } else {
            self.any(record)
        }
    }

    fn comparison(&mut self) -> &'static str {
        self.random.pick(&["==", "!=", "<", "<=", ">", ">="])
    }

    fn equality(&mut self) -> &'static str {
        self.random.pick(&["==", "!="])
    }

    pub(crate) fn boolean(&mut self, depth: usize) -> String {
        let below = depth.saturating_sub(1);
        if depth > 0 && self.random.below(3) == 0 {
            let (a, b) = (self.boolean(below), self.boolean(below));
            return match self.random.below(5) {
                0 | 1 => format!("({a} && {b})"),
                2 | 3 => format!("({a} || {b})"),
                _ => format!("({a} ? {b} : {})", self.boolean(below)),
            };
        }
        match self.random.below(22) {
            0 | 1 => format!("({} {} {})", self.number(below), self.comparison(), self.number(below)),
            2 => format!("({} {} {})", self.whole(below), self.comparison(), self.whole(below)),
            3 | 4 => format!("({} {} {})", self.text(below), self.comparison(), self.text(below)),
            5 | 6 => format!("({} {} {})", self.moment(below), self.comparison(), self.moment(below)),
            7 => format!("({} {} {})", self.length(below), self.comparison(), self.length(below)),
            8 => format!("({} {} {})", self.day(), self.comparison(), self.day()),
            9 => format!("({} {} {})", self.clock(), self.comparison(), self.clock()),
            10 => format!("({} {} {})", self.uuid(), self.equality(), self.uuid()),
            11 => format!(
                "(record.digest {} {})",
                self.equality(),
                self.any(&["b'\\x01'", "b''", "record.digest"])
            ),
            12 => format!("({} {} {})", self.json(), self.equality(), self.json()),
            13 => format!("!{}", self.boolean(below)),
            14 => self.presence(),
            15 | 16 => self.membership(below),
            17 => format!(
                "{}.{}({})",
                self.text(0),
                self.any(&["startsWith", "endsWith", "contains"]),
                self.text(0)
            ),
            18 => self.lists(),
            19 => format!(
                "(record.status {} '{}')",
                self.equality(),
                self.any(&["draft", "approved", "shipped"])
            ),
            20 => self.leaf(&["record.active", "record.doc.c", "true", "false"], &["actor.attributes.flag"]),
            _ => {
                let (json, other) = (self.json(), self.any(&["'EU'", "1", "10.5", "true", "5"]));
                format!("({json} {} {other})", self.equality())
            }
        }
    }

    fn number(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.below(2) == 0 {
            let (a, b) = (self.number(depth - 1), self.number(depth - 1));
            return match self.random.below(6) {
                0 => format!("({a} + {b})"),
                1 => format!("({a} - {b})"),
                2 => format!("({a} * {b})"),
                3 => format!("-{a}"),
                4 => format!("({} ? {a} : {b})", self.boolean(0)),
                _ => self.whole(depth - 1),
            };
        }
        self.leaf(
            &[
                "record.amount",
                "record.rate",
                "record.quantity",
                "record.doc.a",
                "0",
                "1.5",
                "10.50",
                "-3",
                "0.01",
                "record.prices[0]",
                "record.doc.list[2]",
                "100000000000000000000.0",
            ],
            &["actor.attributes.limit"],
        )
    }

    fn whole(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.below(2) == 0 {
            let (a, b) = (self.whole(depth - 1), self.whole(depth - 1));
            return format!("({a} {} {b})", self.any(&["+", "-", "*", "/", "%"]));
        }
        let getter = self.any(&[
            "getFullYear",
            "getMonth",
            "getDate",
            "getDayOfMonth",
            "getDayOfWeek",
            "getDayOfYear",
            "getHours",
            "getMinutes",
            "getSeconds",
            "getMilliseconds",
        ]);
        match self.random.below(8) {
            0 => format!("record.due.{getter}()"),
            1 if !getter.contains("Hours") && !getter.contains("ds") && !getter.contains("Minutes") => {
                format!("record.day.{getter}()")
            }
            2 => self.any(&[
                "record.opens.getHours()",
                "record.opens.getSeconds()",
                "record.opens.getMilliseconds()",
            ]),
            3 => self.any(&[
                "size(record.note)",
                "size(record.tags)",
                "size(record.digest)",
                "record.sizes.size()",
                "record.sizes[1]",
            ]),
            4 => self.any(&["0", "1", "-1", "2", "7", "9223372036854775807"]),
            _ => self.any(&["record.quantity", "record.stock"]),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.below(3) == 0 {
            let (a, b) = (self.text(depth - 1), self.text(depth - 1));
            return match self.random.below(4) {
                0 | 1 => format!("({a} + {b})"),
                2 => format!("{a}.{}()", self.any(&["lowerAscii", "upperAscii"])),
                _ => format!("({} ? {a} : {b})", self.boolean(0)),
            };
        }
        if self.random.below(3) == 0 {
            let text = self.random.pick(&TEXTS);
            return format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        }
        self.leaf(
            &[
                "record.region",
                "record.note",
                "record.created_by",
                "string(record.owner)",
                "record.tags[0]",
                "string(record.quantity)",
                "string(record.doc.b)",
                "string(record.doc.list[0])",
                "record.region",
            ],
            &["actor.id", "actor.type", "string(actor.attributes.region)", "actor.roles[0]"],
        )
    }

    fn moment(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.below(3) == 0 {
            let (a, length) = (self.moment(depth - 1), self.length(depth - 1));
            return match self.random.below(4) {
                0 => format!("({a} + {length})"),
                1 => format!("({a} - {length})"),
                2 => format!("({length} + {a})"),
                _ => format!("({} ? {a} : {})", self.boolean(0), self.moment(0)),
            };
        }
        match self.random.below(4) {
            0 => format!("timestamp('{}')", self.random.pick(&TIMES)),
            1 => self.any(&["record.moments[0]", "record.created_at"]),
            _ => self.any(&["record.due", "record.sent"]),
        }
    }

    fn length(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.below(2) == 0 {
            return match self.random.below(4) {
                0 | 1 => format!("({} - {})", self.moment(depth - 1), self.moment(depth - 1)),
                2 => format!("({} - {})", self.day(), self.day()),
                _ => format!("({} + {})", self.length(depth - 1), self.length(depth - 1)),
            };
        }
        self.any(&[
            "duration('1h30m')",
            "duration('24h')",
            "duration('-1us')",
            "duration('0s')",
            "duration('876000h')",
        ])
    }

    fn day(&mut self) -> String {
        match self.random.below(4) {
            0 => format!("date('{}')", self.random.pick(&DAYS)),
            1 => "date(record.due)".into(),
            _ => "record.day".into(),
        }
    }

    fn clock(&mut self) -> String {
        match self.random.below(4) {
            0 => format!("time('{}')", self.random.pick(&CLOCKS)),
            1 => "time(record.sent)".into(),
            _ => "record.opens".into(),
        }
    }

    fn uuid(&mut self) -> String {
        match self.random.below(3) {
            0 => format!("'{}'", self.random.pick(&UUIDS)),
            1 => self.leaf(
                &["record.owner", "uuid(record.region)", "uuid(string(record.owner))"],
                &["actor.id", "actor.attributes.owner"],
            ),
            _ => self.any(&["record.owner", "record.id"]),
        }
    }

    fn json(&mut self) -> String {
        self.leaf(
            &[
                "record.doc",
                "record.doc.a",
                "record.doc.b",
                "record.doc.a.b[1].c",
                "record.doc.list",
                "record.doc.list[0]",
                "record.doc['a']",
                "record.doc[1]",
                "record.doc.nothing.x",
                "record.doc.list[5]",
            ],
            &[
                "actor.attributes.region",
                "actor.attributes.limit",
                "actor.attributes",
                "actor.attributes.list[0]",
            ],
        )
    }

    fn presence(&mut self) -> String {
        let what = match self.random.below(3) {
            0 => self.json(),
            _ => self.leaf(
                &[
                    "record.region",
                    "record.amount",
                    "record.tags",
                    "record.doc",
                    "record.sizes[0]",
                    "record.due",
                ],
                &["actor.attributes.flag", "actor.id"],
            ),
        };
        match self.random.below(3) {
            0 if what != "actor.id" && what != "actor.attributes" => format!("has({what})"),
            1 => format!("({what} == null)"),
            _ => format!("({what} != null)"),
        }
    }

    fn membership(&mut self, depth: usize) -> String {
        match self.random.below(12) {
            0 | 1 => format!("({} in ['EU', 'a', '', 'é'])", self.text(depth)),
            2 => format!("({} in record.tags)", self.text(depth)),
            3 => format!("({} in [1, 10.5, record.amount])", self.number(depth)),
            4 => format!("({} in record.sizes)", self.number(depth)),
            5 => format!("({} in record.prices)", self.number(depth)),
            6 => format!("({} in record.doc.list)", self.text(depth)),
            7 => format!("({} in record.doc.list)", self.any(&["5", "'EU'", "5.0", "true"])),
            8 if self.with_actor => format!("({} in actor.attributes.list)", self.text(depth)),
            9 if self.with_actor => format!("({} in actor.attributes.list)", self.number(depth)),
            10 if self.with_actor => format!("({} in actor.roles)", self.text(depth)),
            8 => format!(
                "({} in record.moments)",
                self.any(&["record.due", "timestamp('1970-01-01T00:00:00Z')"])
            ),
            9 => format!("({} in ['2024-02-29T00:00:00Z'])", self.any(&["record.due", "record.sent"])),
            10 => format!("(record.owner in ['{}'])", self.random.pick(&UUIDS)),
            _ => format!("({} in [record.region, record.note])", self.text(depth)),
        }
    }

    fn lists(&mut self) -> String {
        let sides = match self.random.below(4) {
            0 => ["record.tags", "['a', 'EU']"],
            1 => ["record.sizes", "[1, 2]"],
            2 => ["record.sizes", "record.prices"],
            _ => ["record.prices", "[10.5]"],
        };
        format!("({} {} {})", sides[0], self.equality(), sides[1])
    }
}
