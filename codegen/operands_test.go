package codegen_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// operands has expressions of every kind of type, in several sizes and places.
var operands = map[types.Kind][]string{
	types.Invalid: {"nosuch"},
	types.Void:    {"print(1)", "{ $z = 1; }"},
	types.Bool:    {"true", "(pid == 1)"},
	types.Int:     {"1", "pid", "(int8)-3", "(uint64)nsecs"},
	types.Enum:    {"BPF_MAP_TYPE_HASH", "(enum bpf_map_type)pid"},
	types.String:  {`"ab"`, "comm", "str(args.filename)", "$s"},
	types.Buffer:  {"buf(args.filename, 2)", "buf(args.filename, 3)", "buf(args.filename, args.flags)", "$b"},
	types.Pointer: {"curtask", "args.filename", "(int32 *)nsecs", "((struct s *)nsecs)->p[1]"},
	types.Array:   {"((struct s *)nsecs)->a", "((struct s *)nsecs)->c", "((struct s *)nsecs)->p", "((struct s *)nsecs)->d"},
	types.Struct:  {"*((struct s *)nsecs)", "((struct s *)nsecs)->d[0]", "((struct s *)nsecs)->u"},
	types.Tuple:   {"(1, 2)", `(1, "a")`, "(pid, (2, comm))", "()", "(buf(args.filename, 2), 1)", "(buf(args.filename, 3), 1)"},
	types.Record:  {"(a=1, b=2)", `(b="x", a=pid)`},
	types.Opaque:  {"ksym(0)", "usym(0)", "ntop(0)", "kstack", "kstack(3)", "ustack", `strftime("%H", nsecs)`, "macaddr(((struct s *)nsecs)->m)"},
	types.Agg:     {"@count", "@avg", "@hist", "@sum", "@stats", "@max"},
}

const operandsHead = `struct in { int x; short y; };
struct s { int a[2]; short c[2]; int *p[2]; struct in d[2]; char m[6]; union { int i; long l; } u; };
tracepoint:syscalls:sys_enter_openat {
@count = count(); @avg = avg(1); @hist = hist(1); @sum = sum(1); @stats = stats(1); @max = max(1);
$s = "text"; $b = buf(args.filename, 4);
`

// operations returns all operations on two operands x and y. n creates new names.
func operations() []string {
	var list []string
	for _, op := range strings.Fields("+ - * / % & | ^ << >> == != < <= > >= && ||") {
		list = append(list, "$v_n = x_ "+op+" y_;")
	}
	for _, op := range strings.Fields("+ - * / % & | ^ << >>") {
		list = append(list, "$w_n = x_; $w_n "+op+"= y_;", "@w_n = x_; @w_n "+op+"= y_;")
	}
	return append(list,
		"$v_n = pid ? x_ : y_;", "$v_n = (x_)[y_];", "$v_n = x_ ?: y_;", "@v_n[x_] = y_;",
		"$v_n = (x_, y_) == (y_, x_);", "if (x_) { $v_n = y_; print($v_n); }",
		"@v_n[x_] = 1; @v_n[y_] = 2;", "$v_n = x_; $v_n = y_;", "for ($i_n : x_..y_) { }")
}

// TestOperands applies every operation on two operands to every pair of types, and
// checks that the result is code that compiles, or a diagnostic.
func TestOperands(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	type operand struct {
		text  string
		kind  types.Kind
		place int // within its kind
	}
	var exprs []operand
	for kind := types.Invalid; kind <= types.Agg; kind++ {
		if len(operands[kind]) == 0 {
			t.Errorf("the table has no operands of kind %d", kind)
		}
		for i, text := range operands[kind] {
			exprs = append(exprs, operand{text, kind, i})
		}
	}
	ops, total, values := operations(), 0, 0
	for _, left := range exprs {
		for _, right := range exprs {
			if left.kind != right.kind && left.place+right.place > 1 {
				continue // two of each kind are enough for those
			}
			x, y := left.text, right.text
			lines := make([]string, len(ops))
			for i, op := range ops {
				lines[i] = strings.NewReplacer("x_", x, "y_", y, "_n", strconv.Itoa(i)).Replace(op)
			}
			total += len(lines)
			accepted(t, k, lines)
			for _, l := range lines {
				if l != "" {
					values++
				}
			}
		}
	}
	t.Logf("%d operations on pairs of %d operands: %d have a value, %d are refused", total, len(exprs), values, total-values)
}

// accepted compiles statements, one per line. It empties lines that the compiler refuses,
// until it accepts the rest.
func accepted(t *testing.T, k probes.Kernel, lines []string) {
	t.Helper()
	for tries := 0; ; tries++ {
		obj, diags := compile(t, k, operandsHead+strings.Join(lines, "\n")+"\n}", nil)
		if obj != nil {
			return
		}
		refused := 0
		for _, d := range diags.All() {
			n := d.Span.File.Position(d.Span.Start).Line - strings.Count(operandsHead, "\n") - 1
			if d.Severity == 0 && n >= 0 && n < len(lines) && lines[n] != "" {
				lines[n] = ""
				refused++
			}
		}
		if refused == 0 || tries > len(lines) {
			t.Fatalf("%q: no line is at fault: %v", lines, diags.Err())
		}
	}
}

// TestArguments calls every builtin with no arguments, and with one to three of every
// type, and checks that the result is code that compiles, or a diagnostic.
func TestArguments(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	total, values := 0, 0
	for _, d := range builtins.All() {
		if d.Kind != builtins.Function {
			continue
		}
		var lines []string
		add := func(args ...string) {
			n := strconv.Itoa(len(lines))
			lines = append(lines, "@v"+n+" = "+d.Name+"("+strings.Join(args, ", ")+");", d.Name+"("+strings.Join(args, ", ")+");")
		}
		add()
		for kind := types.Invalid; kind <= types.Agg; kind++ {
			x := operands[kind][0]
			add(x)
			add(x, x)
			add("comm", x)
			add("1", x, x)
		}
		total += len(lines)
		accepted(t, k, lines)
		for _, l := range lines {
			if l != "" {
				values++
			}
		}
	}
	t.Logf("%d calls: %d are accepted", total, values)
}
