//! The operations, each from the one before.

use velocity_schema::Schema;

use super::super::world::World;

/// How the traffic and the checksum name what changes.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) title: &'static str,
    pub(super) code_as_text: &'static str,
    /// A number as the type of `code`.
    pub(super) code: &'static str,
    pub(super) amount: &'static str,
}

pub(super) struct Operation {
    pub(super) what: &'static str,
    fields: Vec<String>,
    rest: String,
    pub(super) shape: Shape,
}

impl Operation {
    pub(super) fn schema(&self, world: &World) -> Schema {
        world.item(&self.fields.iter().map(String::as_str).collect::<Vec<_>>(), &self.rest)
    }
}

/// A spec in the making.
struct Spec {
    fields: Vec<String>,
    rest: String,
    shape: Shape,
    all: Vec<Operation>,
}

impl Spec {
    fn set(&mut self, name: &str, rest: &str) -> &mut Self {
        let field = format!("{{name: {name}, {rest}}}");
        let start = format!("{{name: {name},");
        match self.fields.iter_mut().find(|field| field.starts_with(&start)) {
            Some(known) => *known = field,
            None => self.fields.push(field),
        }
        self
    }

    fn drop(&mut self, name: &str) -> &mut Self {
        let start = format!("{{name: {name},");
        self.fields.retain(|field| !field.starts_with(&start));
        self
    }

    fn rest(&mut self, rest: &str) -> &mut Self {
        rest.clone_into(&mut self.rest);
        self
    }

    fn done(&mut self, what: &'static str) {
        let (fields, rest, shape) = (self.fields.clone(), self.rest.clone(), self.shape.clone());
        self.all.push(Operation { what, fields, rest, shape });
    }
}

const INDEXES: &str =
    "indexes: [{fields: [status, -amount]}, {fields: [-day], where: 'record.status == \"draft\"'}]";

pub(super) fn all() -> Vec<Operation> {
    let shape = Shape {
        title: "title",
        code_as_text: "code",
        code: "$1::bigint::text",
        amount: "trim_scale(amount)",
    };
    let mut spec = Spec { fields: Vec::new(), rest: String::new(), shape, all: Vec::new() };
    spec.set("num", "type: integer, filterable: true")
        .set("code", "type: string, maxLength: 12")
        .set("title", "type: string, maxLength: 40")
        .set("amount", "type: number, precision: 12, scale: 2, min: 0")
        .set("level", "type: integer")
        .set("status", "type: enum, enum: [draft, done], default: draft, required: true")
        .set("owner", "type: uuid")
        .set("day", "type: date")
        .done("the table");
    fields(&mut spec);
    rules(&mut spec);
    others(&mut spec);
    spec.all
}

fn fields(spec: &mut Spec) {
    spec.set("note", "type: string, maxLength: 9").done("add a field");
    spec.set("kind", "type: enum, enum: [one, two], default: one, required: true")
        .done("add a required field with a default");
    spec.set("title", "type: string, maxLength: 40, filterable: true, sortable: true").done("add an index");
    spec.shape.title = "name";
    spec.drop("title")
        .set("name", "renamedFrom: title, type: string, maxLength: 40, filterable: true, sortable: true")
        .done("rename a field with its index and check");
    spec.drop("note").done("drop a field (approved)");
    spec.set("note", "type: string, maxLength: 9").done("bring it back from the trash");
    spec.set("amount", "type: number, precision: 20, scale: 2, min: 0").done("widen a number in place");
    spec.set("amount", "type: number, precision: 20, scale: 4, min: 0")
        .done("more scale: another type through a shadow column");
    spec.set("amount", "type: number, precision: 14, scale: 2, min: 0, filterable: true")
        .done("less precision and scale, when the data fits");
    spec.shape.code = "$1::bigint";
    spec.shape.code_as_text = "code::text";
    spec.set("code", "type: integer, min: 0").done("text to integer (approved)");
    spec.shape.code = "$1::bigint::text";
    spec.set("code", "type: string, maxLength: 12").done("integer to text (approved)");
}

fn rules(spec: &mut Spec) {
    spec.set("code", "type: string, maxLength: 12, unique: true, required: true").done("unique and required");
    spec.set("level", "type: integer, required: true, default: 5, min: 0")
        .done("required, with a default for those without");
    spec.set("level", "type: integer, min: 0, max: 89").done("optional again; a narrower check");
    spec.set("level", "type: integer, min: -1, max: 100").done("a wider check");
    spec.set("status", "type: enum, enum: [draft, done, gone], default: draft, required: true")
        .done("add a value to an enum");
    spec.set("status", "type: enum, enum: [draft, done], default: done, required: true")
        .done("remove it; another default");
    spec.set("owner", "type: uuid, ref: {object: owner, version: v1}").done("add a foreign key");
    spec.set("owner", "type: uuid, ref: {object: owner, version: v1, enforce: false}").done("drop it");
}

fn others(spec: &mut Spec) {
    spec.rest(INDEXES).done("add two indexes, one of them partial");
    spec.rest("").done("drop them");
    spec.rest("access: {roles: {create: [writer], read: [writer, reader, other], update: [writer], delete: [writer]}, rowFilter: [{role: reader, condition: 'record.status == \"done\"'}]}")
        .done("row filters and roles");
    let search = |tier: u8| format!("search: {{tier: {tier}, fields: [name]}}");
    spec.rest(&search(1)).done("search by pieces (tier 1)");
    spec.rest(&search(2)).done("search by words (tier 2)");
    spec.rest("").done("no search");
    spec.shape.title = "title";
    spec.shape.code = "$1::bigint";
    spec.shape.code_as_text = "code::text";
    spec.drop("name")
        .drop("note")
        .set("title", "renamedFrom: name, type: string, maxLength: 30")
        .set("code", "type: integer, unique: true, required: true")
        .set("level", "type: integer, min: -1, max: 95, filterable: true")
        .set("owner", "type: uuid, ref: {object: owner, version: v1}")
        .done("a rename, a drop, a type, a check, an index and a foreign key at once (approved)");
}
