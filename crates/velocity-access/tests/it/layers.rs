//! Each layer taken away alone: the attack that it stops succeeds, and no other does.

use velocity_access::{Decision, Layer, Layers, Subject};
use velocity_schema::schema::{Operation, Sight};

use crate::subjects::{caller, on_layers, record, request, schema};

/// What a reader without rights gets away with.
#[derive(Debug, PartialEq, Eq, Default)]
struct Attacks {
    deletes: bool,
    reads_against_a_condition: bool,
    sees_a_hidden_field: bool,
    sees_a_masked_field: bool,
    sets_a_field: bool,
}

fn attack(layers: Layers) -> Attacks {
    let schema = schema();
    let at = |name: &str| schema.position(name).unwrap();
    let subject: Subject = on_layers(caller(&["reader"]), layers);
    let secret = record(&schema, "secret");
    let view = subject.view(Operation::Read);
    Attacks {
        deletes: matches!(subject.roles_for(Operation::Delete), Decision::Allowed { .. }),
        reads_against_a_condition: subject.abac(Operation::Read, Some(&secret), request()).is_ok()
            && subject.abac_in_sql(Operation::Read).is_empty(),
        sees_a_hidden_field: view.sight(at("note")) == Sight::Clear,
        sees_a_masked_field: view.sight(at("amount")) == Sight::Clear,
        sets_a_field: subject.write_rights(Operation::Update).allows(at("note")),
    }
}

#[test]
fn with_every_layer_no_attack_succeeds() {
    assert_eq!(attack(Layers::all()), Attacks::default());
}

#[test]
fn without_one_layer_its_attacks_succeed_and_no_others() {
    let none = Attacks::default;
    for (layer, expected) in [
        (Layer::Rbac, Attacks { deletes: true, ..none() }),
        (Layer::Abac, Attacks { reads_against_a_condition: true, ..none() }),
        (Layer::FieldRights, Attacks { sees_a_hidden_field: true, sets_a_field: true, ..none() }),
        (Layer::Masking, Attacks { sees_a_masked_field: true, ..none() }),
        // Elsewhere: in the API and in the database.
        (Layer::CrossSchema, none()),
        (Layer::RowFilter, none()),
        (Layer::Rls, none()),
    ] {
        assert_eq!(attack(Layers::all().without(layer)), expected, "without {layer}");
    }
}
