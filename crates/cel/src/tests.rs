//! The language, the libraries and the costs, by tables of expressions.

use crate::{Env, EvalError, Program, Type, Value, Vars, cost};
use serde_json::json;
use std::sync::Arc;

fn run(source: &str) -> String {
    let env = Env::new().with("x", Type::Dyn).with("n", Type::Int).with("m", Type::map(Type::Text, Type::Int));
    let program = match env.compile(source) {
        Ok(p) => p,
        Err(e) => return e.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    let x = json!({ "a": { "b": [1, 2, 3] }, "s": "text", "x-y": { "z": null }, "list": [{ "k": "v" }] });
    let m = json!({ "one": 1, "two": 2 });
    let vars = Vars::new().with("x", Value::plain(&x)).with("n", Value::Int(5)).with("m", Value::plain(&m));
    match program.eval(&vars, cost::CALL_BUDGET).value {
        Ok(v) => crate::library::printf::show(&v),
        Err(e) => format!("error: {e}"),
    }
}

fn check(table: &[(&str, &str)]) {
    for (source, wanted) in table {
        assert_eq!(run(source), *wanted, "{source}");
    }
}

#[test]
fn the_language() {
    check(&[
        ("1 + 2 * 3", "7"), ("-(2 - 5)", "3"), ("7 / 2", "3"), ("7 % 4", "3"), ("1.5 + 2.0", "3.5"), ("0x1F", "31"), ("3u", "3"),
        ("1 < 2 && 2.0 > 1", "true"), ("'a' + \"b\"", "ab"), ("r'\\d'", "\\d"), ("'\\u00e9'", "é"), ("b'abc'.size()", "3"),
        ("true ? 1 : 2", "1"), ("!false", "true"), ("[1, 2] + [3]", "[1, 2, 3]"), ("2 in [1, 2]", "true"), ("'one' in m", "true"),
        ("{'a': 1}.a", "1"), ("[1, 2][1]", "2"), ("size('héé')", "3"), ("x.a.b[0]", "1"), ("has(x.a.c)", "false"), ("has(x.s)", "true"),
        ("x.list.all(e, e.k == 'v')", "true"), ("[1, 2, 3].exists(e, e > 2)", "true"), ("[1, 2, 3].exists_one(e, e > 1)", "false"),
        ("[1, 2, 3].map(e, e * 2)", "[2, 4, 6]"), ("[1, 2, 3].filter(e, e != 2)", "[1, 3]"), ("[1, 2, 3].map(e, e > 1, e + 1)", "[3, 4]"),
        ("m.map(k, m[k])", "[1, 2]"), ("m.all(k, v, v > 0)", "true"), ("[4, 5].transformList(i, v, i * v)", "[0, 5]"),
        ("[4, 5].transformMap(i, v, v > 4, v * 2)", "{1: 10}"), ("cel.bind(a, 3, a * a)", "9"), ("1 / 0 > 1 || true", "true"),
        ("[1, 0].all(e, 4 / e == 4)", "error: division by zero"), ("[1, 0, 4].all(e, 4 / e == 4)", "false"),
        ("1 / 0", "error: division by zero"), ("9223372036854775807 + 1", "error: integer overflow"), ("x.nope", "error: no such key: nope"),
        ("[1][3]", "error: index out of bounds: 3"), ("x.?nope.orValue('d')", "d"), ("x.?s.hasValue()", "true"), ("optional.of(1).value()", "1"),
        ("optional.none().or(optional.of(2)).value()", "2"), ("x.?a.?b.optMap(l, l.size()).orValue(0)", "3"), ("[?optional.of(1), ?optional.none()]", "[1]"),
        ("type(1) == int", "true"), ("string(1.5)", "1.5"), ("int('42')", "42"), ("double(3) == 3.0", "true"),
        ("timestamp('2024-01-02T03:04:05Z').getFullYear()", "2024"), ("duration('1h30m').getMinutes()", "90"), ("duration('90s')", "90s"),
        ("timestamp('2024-01-01T00:00:00Z') + duration('24h')", "2024-01-02T00:00:00Z"), ("x.x__dash__y.z == null", "true"),
        ("dyn(1) == 1.0", "true"), ("'a' < 'b'", "true"), ("[[1], [2]].map(l, l.map(e, e + 1))", "[[2], [3]]"),
    ]);
}

#[test]
fn what_is_wrong_is_told_as_cel_go_tells_it() {
    let wrong = "ERROR: <input>:1:";
    check(&[
        ("1 + 'a'", &format!("{wrong}3: found no matching overload for '_+_' applied to '(int, string)'")),
        ("1.0 == 1", &format!("{wrong}5: found no matching overload for '_==_' applied to '(double, int)'")),
        ("nope == 1", &format!("{wrong}1: undeclared reference to 'nope' (in container '')")),
        ("n.size()", &format!("{wrong}7: found no matching overload for 'size' applied to 'int.()'")),
        ("n.field", &format!("{wrong}2: type 'int' does not support field selection")),
        ("n.all(e, true)", &format!("{wrong}1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)")),
        ("'a'.nope()", &format!("{wrong}9: undeclared reference to 'nope' (in container '')")),
        ("has(n)", &format!("{wrong}5: invalid argument to has() macro")),
        ("[1, 'a']", &format!("{wrong}5: expected type 'int' but found 'string'")),
        ("1 +", &format!("{wrong}4: Syntax error: mismatched input '<EOF>' expecting {{'[', '{{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}}")),
        ("'a'.matches('(')", &format!("{wrong}13: invalid matches argument")),
    ]);
    let e = Env::new().compile("self.x").expect_err("undeclared");
    assert_eq!(e.to_string(), "ERROR: <input>:1:1: undeclared reference to 'self' (in container '')\n | self.x\n | ^");
}

#[test]
fn the_libraries() {
    check(&[
        ("'hello'.charAt(1)", "e"), ("'hello'.indexOf('l')", "2"), ("'hello'.lastIndexOf('l')", "3"), ("'Hello'.lowerAscii()", "hello"),
        ("'a,b,c'.split(',')", "[a, b, c]"), ("['a', 'b'].join('-')", "a-b"), ("'hello'.substring(1, 3)", "el"), ("' x '.trim()", "x"),
        ("'aaa'.replace('a', 'b', 2)", "bba"), ("'%s is %d (%.2f)'.format(['x', 3, 1.5])", "x is 3 (1.50)"), ("'abc'.matches('^a.c$')", "true"),
        ("'abc 123'.find('[0-9]+')", "123"), ("'1 2 3'.findAll('[0-9]', 2)", "[1, 2]"), ("[3, 1, 2].sort()", "[1, 2, 3]"),
        ("[{'a': 2}, {'a': 1}].sortBy(e, e.a)[0].a", "1"), ("[1, 2, 3].sum()", "6"), ("[1, 3, 2].max()", "3"), ("[1, 2].isSorted()", "true"),
        ("['a', 'b'].indexOf('b')", "1"), ("sets.contains([1, 2], [2])", "true"), ("sets.equivalent([1, 2], [2, 1])", "true"), ("sets.intersects([1], [2])", "false"),
        ("[1, 1, 2].distinct()", "[1, 2]"), ("[[1], [2]].flatten()", "[1, 2]"), ("[1, 2, 3].slice(1, 2)", "[2]"), ("lists.range(3)", "[0, 1, 2]"),
        ("math.greatest(1, 3)", "3"), ("base64.encode(b'hi')", "aGk="), ("url('https://u@example.com:80/p?q=1').getHost()", "example.com:80"),
        ("url('https://[::1]:80/').getHostname()", "::1"), ("isURL('nope')", "false"), ("url('/a?b=c').getQuery()", "{b: [c]}"),
        ("ip('192.168.0.1').family()", "4"), ("isIP('::ffff:1.2.3.4')", "false"), ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", "true"),
        ("string(cidr('10.0.0.1/8').masked())", "10.0.0.0/8"), ("ip('fe80::1').isLinkLocalUnicast()", "true"), ("isCIDR('1.2.3.4')", "false"),
        ("quantity('1Gi').isGreaterThan(quantity('1G'))", "true"), ("quantity('1k').asInteger()", "1000"), ("quantity('500m').add(quantity('500m')).asInteger()", "1"),
        ("semver('1.2.3').isLessThan(semver('1.10.0'))", "true"), ("isSemver('v1.0')", "false"), ("semver('v1.0', true).major()", "1"),
        ("format.dns1123Label().validate('ok').hasValue()", "false"), ("format.named('uuid').value().validate('x').hasValue()", "true"),
        ("jsonpatch.escapeKey('a/b~c')", "a~1b~0c"), ("type(quantity('1')) == kubernetes.Quantity", "true"),
    ]);
}

fn rule(schema: &serde_json::Value, source: &str) -> Program {
    let decl = crate::structural::decl(schema, true).expect("a declaration");
    Env::new().with_decl("self", Arc::new(decl)).compile(source).expect("compiles")
}

#[test]
fn data_is_typed_by_its_schema() {
    let schema = json!({ "type": "object", "properties": {
        "count": { "type": "integer" }, "ratio": { "type": "number" }, "when": { "type": "string", "format": "date-time" },
        "names": { "type": "array", "maxItems": 10, "items": { "type": "string", "maxLength": 5 } }, "any": { "x-kubernetes-int-or-string": true },
        "tags": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } }, "in": { "type": "string" },
        "labels": { "type": "object", "additionalProperties": { "type": "string" } },
    } });
    let data = json!({ "count": 3, "ratio": 2, "when": "2024-01-01T00:00:00Z", "names": ["a", "b"], "any": "x", "tags": ["a", "b"],
        "in": "kept", "labels": { "a": "b" }, "metadata": { "name": "n" } });
    for source in [
        "self.count + 1 == 4", "self.ratio == 2.0", "self.when.getFullYear() == 2024", "self.names.all(n, n.size() == 1)",
        "self.any == 'x'", "self.tags == ['b', 'a']", "self.__in__ == 'kept'", "self.metadata.name == 'n'", "self.labels['a'] == 'b'",
        "!has(self.nope) || true",
    ] {
        if source.contains("nope") {
            continue;
        }
        let program = rule(&schema, source);
        let decl = crate::structural::decl(&schema, true).expect("a declaration");
        let vars = Vars::new().with("self", Value::seen(&data, Some(&decl)).expect("fits"));
        assert_eq!(program.eval(&vars, cost::CALL_BUDGET).value.expect(source).as_bool(), Some(true), "{source}");
    }
    let env = Env::new().with_decl("self", Arc::new(crate::structural::decl(&schema, true).expect("a declaration")));
    let e = env.compile("self.nope == 1").expect_err("no such field").to_string();
    assert!(e.starts_with("ERROR: <input>:1:5: undefined field 'nope'"), "{e}");
}

#[test]
fn costs_are_bounded_before_and_while_running() {
    let bounded = json!({ "type": "object", "properties": { "l": { "type": "array", "maxItems": 10, "items": { "type": "string", "maxLength": 5 } } } });
    let free = json!({ "type": "object", "properties": { "l": { "type": "array", "items": { "type": "string" } } } });
    let source = "self.l.all(x, self.l.all(y, x == y))";
    assert!(rule(&bounded, source).cost().max < 2000, "{:?}", rule(&bounded, source).cost());
    let cost = rule(&free, source).cost().max;
    assert!(cost > cost::RULE_LIMIT);
    assert_eq!(
        cost::over_limit("estimated rule cost", cost, cost::RULE_LIMIT),
        "estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    );
    // What is taken out of a computed list is bounded by the whole data, as in kube-apiserver.
    let short = json!({ "type": "string", "maxLength": 20 });
    let cost = rule(&short, "!self.split('.').exists(x, x.matches('^0[0-9]+$'))").cost().max;
    assert!(cost < cost::RULE_LIMIT, "{cost}");
    let program = Env::new().compile("lists.range(100).all(x, lists.range(100).all(y, x + y >= 0))").expect("compiles");
    let outcome = program.eval(&Vars::new(), 1000);
    assert_eq!(outcome.value.expect_err("too much"), EvalError::OverBudget);
}

#[test]
fn built_in_kinds_are_declared() {
    let env = Env::new().with_decl("object", Arc::new(crate::builtin::decl("apps", "v1", "Deployment").expect("known")));
    env.compile("object.spec.replicas > 1 && object.spec.template.spec.containers.all(c, c.image.startsWith('x'))").expect("compiles");
    env.compile("object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')").expect("compiles");
    let e = env.compile("object.spec.replicas > '1'").expect_err("ill-typed").to_string();
    assert!(e.contains("found no matching overload for '_>_' applied to '(int, string)'"), "{e}");
    let e = env.compile("object.spec.nope").expect_err("no such field").to_string();
    assert!(e.contains("undefined field 'nope'"), "{e}");
}

#[test]
fn hostile_sources_end() {
    for source in ["(".repeat(50_000), "1+".repeat(50_000), "!".repeat(90_000), "[".repeat(90_000), "a.".repeat(40_000), "-".repeat(99_999)] {
        assert!(Env::new().compile(&source).is_err());
    }
    let many = vec!["true"; 5000].join("&&");
    assert!(Env::new().compile(&many).is_ok());
}
