//! CEL as Kubernetes has it: the standard library, its extensions, and Kubernetes' own functions.

use std::sync::{Arc, LazyLock};

use cel::extractors::{Arguments, This};
use cel::{Context, Env, ExecutionError, FunctionContext, Value as Cel};

pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for extension in [cel::extensions::strings, cel::extensions::lists, cel::extensions::math] {
        // Fails only on names declared twice, which the tests would show.
        if let Err(error) = env.add_extension(extension) {
            tracing::error!(%error, "a CEL extension could not be added");
        }
    }
    Arc::new(env)
});

/// Kubernetes' own functions on lists and strings.
pub(super) fn context() -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    // A name that CEL itself has by now keeps CEL's meaning.
    let _ = context.add_function("isSorted", is_sorted);
    let _ = context.add_function("sum", sum);
    let _ = context.add_function("min", minimum);
    let _ = context.add_function("max", maximum);
    let _ = context.add_function("find", find);
    let _ = context.add_function("findAll", find_all);
    context
}

fn list_of(function: &FunctionContext<'_, '_>, this: &Cel) -> Result<Arc<Vec<Cel>>, ExecutionError> {
    match this {
        Cel::List(list) => Ok(Arc::clone(list)),
        _ => Err(function.error("it is a function of lists")),
    }
}

fn is_sorted(function: &FunctionContext<'_, '_>, This(this): This<Cel>) -> Result<bool, ExecutionError> {
    let list = list_of(function, &this)?;
    Ok(list.windows(2).all(|pair| pair[0].partial_cmp(&pair[1]).is_some_and(std::cmp::Ordering::is_le)))
}

fn sum(function: &FunctionContext<'_, '_>, This(this): This<Cel>) -> Result<Cel, ExecutionError> {
    let list = list_of(function, &this)?;
    let mut total = Cel::Int(0);
    for (at, item) in list.iter().enumerate() {
        total = match (&total, item) {
            (_, item) if at == 0 => item.clone(),
            (Cel::Int(a), Cel::Int(b)) => {
                Cel::Int(a.checked_add(*b).ok_or_else(|| function.error("overflow"))?)
            }
            (Cel::Float(a), Cel::Float(b)) => Cel::Float(a + b),
            _ => return Err(function.error("it sums numbers")),
        };
    }
    Ok(total)
}

fn extreme(
    function: &FunctionContext<'_, '_>,
    this: &Cel,
    wanted: std::cmp::Ordering,
) -> Result<Cel, ExecutionError> {
    let list = list_of(function, this)?;
    let mut best = list.first().ok_or_else(|| function.error("the list is empty"))?;
    for item in list.iter() {
        if item.partial_cmp(best) == Some(wanted) {
            best = item;
        }
    }
    Ok(best.clone())
}

fn minimum(function: &FunctionContext<'_, '_>, This(this): This<Cel>) -> Result<Cel, ExecutionError> {
    extreme(function, &this, std::cmp::Ordering::Less)
}

fn maximum(function: &FunctionContext<'_, '_>, This(this): This<Cel>) -> Result<Cel, ExecutionError> {
    extreme(function, &this, std::cmp::Ordering::Greater)
}

fn pattern(function: &FunctionContext<'_, '_>, text: &str) -> Result<regex::Regex, ExecutionError> {
    regex::Regex::new(text).map_err(|error| function.error(error))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that CEL calls")]
fn find(
    function: &FunctionContext<'_, '_>,
    This(this): This<Arc<String>>,
    text: Arc<String>,
) -> Result<Cel, ExecutionError> {
    let pattern = pattern(function, &text)?;
    Ok(Cel::from(pattern.find(&this).map_or("", |found| found.as_str())))
}

fn find_all(
    function: &FunctionContext<'_, '_>,
    This(this): This<Arc<String>>,
    Arguments(arguments): Arguments,
) -> Result<Cel, ExecutionError> {
    let (text, limit) = match arguments.as_slice() {
        [Cel::String(text)] => (text, usize::MAX),
        [Cel::String(text), Cel::Int(limit)] => (text, usize::try_from(*limit).unwrap_or(usize::MAX)),
        _ => return Err(function.error("it takes a pattern and a limit")),
    };
    let pattern = pattern(function, text)?;
    let found = pattern.find_iter(&this).take(limit).map(|found| Cel::from(found.as_str())).collect();
    Ok(Cel::List(Arc::new(found)))
}
