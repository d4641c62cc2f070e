//! CEL expressions that choose devices: `device.driver`, `device.attributes[DOMAIN].NAME`, `device.capacity[DOMAIN].NAME`.
//! Docs: "Dynamic Resource Allocation: DeviceClass".

use cel::{Decl, Env, Object, Type};
use kinds::{FieldErrors, Path};
use std::sync::{Arc, OnceLock};

/// Longest expression, and the most that it may cost.
const EXPRESSION_MAX: usize = 10 * 1024;

/// What an expression may refer to.
fn environment() -> &'static Env {
    static ENV: OnceLock<Env> = OnceLock::new();
    ENV.get_or_init(|| {
        let by_domain = |value: Type| Type::map(Type::Text, Type::map(Type::Text, value));
        let fields = [
            ("driver", Type::Text),
            ("attributes", by_domain(Type::Dyn)),
            ("capacity", by_domain(Type::Dyn)),
            ("allowMultipleAllocations", Type::Bool),
        ];
        let fields = fields.map(|(name, ty)| (name.to_owned(), Decl::of(ty)));
        Env::new().with_decl("device", Arc::new(Decl::of(Type::Object(Arc::new(Object::new("DRADevice", fields))))))
    })
}

/// Whether an expression compiles, to a boolean.
pub(super) fn check(source: &str, at: &Path, e: &mut FieldErrors) {
    if source.len() > EXPRESSION_MAX {
        e.too_long(at, EXPRESSION_MAX);
        return;
    }
    match environment().compile(source) {
        Err(why) => {
            let text = format!("compilation failed: {why}");
            // Nothing at all is found before the first column.
            let text = match text.split_once('\n').filter(|_| source.is_empty()) {
                Some((first, _)) => first.replacen("<input>:1:1", "<input>:1:0", 1),
                None => text,
            };
            e.invalid(at, source, text);
        }
        Ok(program) if ![Type::Bool, Type::Dyn].contains(program.output()) => {
            e.invalid(at, source, "must evaluate to bool or the unknown type, not ".to_owned() + &program.output().to_string());
        }
        Ok(_) => {}
    }
}
