package generate

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// table holds all builtins.
var table = builtins.NewRegistry(builtins.All())

var begin = program{attach: "begin"}

// operands returns expressions of every type, built in every way.
func operands() []use {
	var l operandList
	l.scalars()
	l.texts()
	l.compounds()
	l.memory()
	l.opaque()
	l.others()
	return l.uses
}

type operandList struct{ uses []use }

func (l *operandList) add(name, text, typ string) {
	l.uses = append(l.uses, use{name: name, text: text, typ: typ, in: begin})
}

var ownName = regexp.MustCompile(`([$@])[a-z]+`)

// after adds an operand that needs statements before it. Its variables and maps
// get unique names, so that any two operands can be combined.
func (l *operandList) after(name, body, text, typ string) {
	names := fmt.Sprintf("${1}op%d", len(l.uses))
	body, text = ownName.ReplaceAllString(body, names), ownName.ReplaceAllString(text, names)
	l.uses = append(l.uses, use{name: name, text: text, typ: typ, in: program{attach: "begin", body: body}})
}

// scalars adds integers and booleans.
func (l *operandList) scalars() {
	for _, size := range []int{8, 16, 32, 64} {
		for _, u := range []string{"", "u"} {
			t := fmt.Sprintf("%sint%d", u, size)
			l.add(t, "("+t+")200", t)
			l.add(t, "("+t+")rand", t)
			l.add(t, "("+t+")-1", t)
			l.after(t, "let $i : "+t+" = 7;", "$i", t)
		}
	}
	for _, n := range []string{"0", "1", "-1", "9223372036854775807", "18446744073709551615", "0x7f", "1e3", "1us"} {
		l.add("literal", n, "")
	}
	l.add("bool", "true", "bool")
	l.add("bool", "(cpu == 0)", "bool")
	l.add("bool", "(bool)rand", "bool")
}

// texts adds strings and buffers.
func (l *operandList) texts() {
	l.add("literal", `"abc"`, "")
	l.add("literal", `""`, "")
	l.add("literal", `"%s\n\""`, "")
	l.add("string", "comm", "string[16]")
	l.add("string", "str(ctx)", "string")
	l.after("string", `$s = "hello";`, "$s", "string[6]")
	l.after("string", `@s = comm;`, "@s", "string[16]")
	l.after("string", `@s[1] = "hello";`, "@s[1]", "string[6]")
	l.add("char", `comm[0]`, "")
	l.add("buffer", `buf("abcdef", 6)`, "")
	l.add("buffer", `buf(comm)`, "")
	l.add("buffer", `buf((uint64)1, 3)`, "")
	l.after("buffer", `@b = buf("abc", 3);`, "@b", "")
}

// compounds adds tuples, records and arrays.
func (l *operandList) compounds() {
	l.add("tuple", `(1, "ab")`, "")
	l.add("tuple", `(1, (comm, (uint8)2), nsecs)`, "")
	l.add("tuple", `((int8)1, (uint16)2, "a", true)`, "")
	l.after("tuple", `@t = (1, comm);`, "@t", "")
	l.after("tuple", `@t[1] = (1, comm);`, "@t[1].1", "")
	l.add("record", `(a = 1, b = comm)`, "")
	l.add("array", `(uint8[8])12345`, "uint8[8]")
	l.add("array", `(uint16[4])nsecs`, "uint16[4]")
	l.add("array", `(int32[2])nsecs`, "int32[2]")
	l.after("array", `$a = (int16[4])nsecs;`, "$a", "int16[4]")
	l.after("array", `@a = (uint64[1])nsecs;`, "@a", "uint64[1]")
	l.after("array", `$a = (int16[4])nsecs;`, "$a[1]", "int16")
}

// memory adds pointers and the objects they point to.
func (l *operandList) memory() {
	l.add("pointer", `curtask`, "struct task_struct *")
	l.add("pointer", `curtask.mm`, "struct mm_struct *")
	l.add("pointer", `(struct task_struct *)0`, "struct task_struct *")
	l.add("pointer", `(uint8 *)nsecs`, "uint8 *")
	l.add("pointer", `(uint32 **)0`, "uint32 **")
	l.add("pointer", `((int32 *)curtask + 2)`, "int32 *")
	l.after("pointer", `@p[1] = curtask;`, "@p[1]", "")
	l.add("pointer", `kptr((struct path *)nsecs)`, "struct path *")
	l.add("pointer", `uptr((struct path *)nsecs)`, "struct path *")
	l.add("struct", `*curtask`, "")
	l.add("struct", `curtask.se`, "")
	l.add("struct", `curtask.pending.signal`, "")
	l.add("member", `curtask.pid`, "int32")
	l.add("member", `curtask.comm`, "")
	l.add("member", `curtask.cpus_mask.bits`, "")
	l.add("member", `curtask.flags`, "uint32")
	l.add("member", `curtask.in_execve`, "")
	l.after("struct", `@s = curtask.se;`, "@s", "")
	l.uses = append(l.uses,
		use{"enum", "BLUE", "", program{decls: "enum colour { RED = 1, BLUE = 7 };", attach: "begin"}},
		use{"enum", "(enum colour)7", "enum colour", program{decls: "enum colour { RED = 1, BLUE = 7 };", attach: "begin"}},
		use{"struct", "*(struct s *)nsecs", "", program{decls: "struct s { int a; char b[5]; short c[2][3]; unsigned d : 3; struct { int e; } f; void *p; };", attach: "begin"}},
		use{"struct", "(struct s *)nsecs", "struct s *", program{decls: "struct s { int a; char b[5]; };", attach: "begin"}},
		use{"member", "((struct s *)nsecs)->b", "", program{decls: "struct s { int a; char b[5]; };", attach: "begin"}},
		use{"member", "((struct s *)nsecs)->c", "", program{decls: "struct s { int a; short c[2][3]; };", attach: "begin"}},
		use{"member", "((struct s *)nsecs)->d", "", program{decls: "struct s { long a; unsigned d : 3; int e : 5; };", attach: "begin"}},
		use{"member", "((struct s *)nsecs)->f", "", program{decls: "struct s { int a; _Bool f; double g; };", attach: "begin"}},
		use{"member", "((struct s *)nsecs)->g", "", program{decls: "struct s { int a; double g; float h; void (*f)(int); };", attach: "begin"}},
		use{"member", "((struct s *)nsecs)->u", "", program{decls: "struct s { union { int a; char b[4]; } u; };", attach: "begin"}},
	)
}

// opaque adds values that can only be printed, and aggregations.
func (l *operandList) opaque() {
	for _, text := range []string{
		`ksym(nsecs)`, `usym(nsecs)`, `kstack`, `ustack(3)`, `kstack(perf, 2)`, `ntop(nsecs)`, `ntop(2, nsecs)`, `macaddr((uint8[6])nsecs)`, `strftime("%H", nsecs)`,
		`username`, `cgroup_path(cgroup)`, `probe`, `func`, `path(curtask.fs.pwd)`, `strerror(1)`, `signal_name(9)`, `syscall_name(1)`, `curtask.real_parent.comm`, `nsecs(monotonic)`,
	} {
		l.add("opaque", text, "")
	}
	for _, f := range []string{"count()", "sum(5)", "avg(-3)", "min(2)", "max(3)", "stats(4)", "hist(5)", "lhist(5, 0, 10, 1)", `tseries(5, 1s, 3)`, "sum((uint32)rand)"} {
		l.after("aggregation", "@a = "+f+";", "@a", "")
		l.after("aggregation", "@a[1] = "+f+";", "@a[1]", "")
		l.after("aggregation", "@a = "+f+";", "(int64)@a", "int64")
		l.after("aggregation", "@a[comm] = "+f+";", "@a", "")
	}
	l.after("map", "@e[1] = 1;", "@e", "")
	l.after("map", "@e[1, 2] = comm;", "@e[1, 2]", "")
	l.after("map", "@e[comm] = (1, 2);", "(@e[comm].1 + 1)", "")
}

// others adds expressions without a value, parameters, types, the context, and
// calls.
func (l *operandList) others() {
	l.add("nothing", "@never", "")
	l.add("nothing", "$never", "")
	l.add("nothing", "nosuchthing", "")
	l.add("nothing", `printf("a")`, "")
	l.add("nothing", `exit()`, "")
	l.add("nothing", `clear(@e)`, "")
	l.add("nothing", `count()`, "")
	l.add("parameter", "$1", "")
	l.add("parameter", "$#", "")
	l.add("parameter", "str($1)", "")
	l.add("type", "sizeof(uint64)", "")
	l.add("type", "offsetof(struct task_struct, pid)", "")
	l.add("type", "uint64", "")
	l.add("context", "ctx", "")
	l.add("context", "args", "")
	l.add("context", "arg0", "")
	l.add("context", "retval", "")
	l.add("call", `{ printf("a"); 5 }`, "")
	l.uses = append(l.uses,
		use{"call", "f(1)", "int64", program{decls: "fn f($a : int64) : int64 { return $a * 2; }", attach: "begin"}},
		use{"call", "f(1)", "", program{decls: `fn f($a : int64) : void { printf("%d\n", $a); }`, attach: "begin"}},
		use{"call", "f(comm)", "", program{decls: "fn f($a : string[16]) : string[16] { return $a; }", attach: "begin"}},
		use{"call", "m(1)", "", program{decls: "macro m(x) { x + 1 }", attach: "begin"}},
	)
}

// examples returns the uses of each builtin in the examples of its
// documentation.
func examples() []use {
	var list []use
	for _, d := range table.All() {
		seen := map[string]bool{}
		for _, e := range d.Doc.Examples {
			var diags source.Diags
			tree := lang.Parse(source.NewFile("example", e), table, nil, nil, &diags)
			if diags.HasErrors() {
				continue // the tests of the table compile the examples
			}
			for _, decl := range tree.Decls {
				probe, ok := decl.(*ast.Probe)
				if !ok {
					continue
				}
				in := program{decls: e[:probe.Span().Start], attach: attachText(probe), unsafe: d.Unsafe || d.Ends}
				if probe.Pred != nil {
					in.pred = probe.Pred.Span().Text()
				}
				for _, n := range calls(probe, d.Name) {
					text := n.Span().Text()
					if seen[text+in.attach] {
						continue
					}
					seen[text+in.attach] = true
					here := in
					if strings.ContainsAny(text, "$@") { // it may depend on earlier statements
						here.body = strings.TrimSuffix(strings.TrimPrefix(probe.Body.Span().Text(), "{"), "}")
					}
					list = append(list, use{name: d.Name, text: text, in: here})
				}
			}
		}
	}
	return list
}

func attachText(p *ast.Probe) string {
	var points []string
	for _, a := range p.Points {
		points = append(points, a.Span().Text())
	}
	return strings.Join(points, ", ")
}

// calls returns the places below n where a builtin is used.
func calls(n ast.Node, name string) []ast.Expr {
	is := func(text string) bool {
		if _, ok := builtins.ArgIndex(text); ok {
			return strings.TrimRight(text, "0123456789") == name
		}
		return text == name
	}
	var list []ast.Expr
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Call:
			if is(strings.TrimPrefix(n.Fn.Text, "__builtin_")) { // so an operator's function is named
				list = append(list, n)
			}
		case *ast.Ident:
			if is(n.Name) {
				list = append(list, n)
			}
		}
		return true
	})
	return list
}

// arguments puts each of values in place of each argument of each use of a
// builtin, and after the last argument.
func arguments(uses, values []use) []use {
	var list []use
	for _, u := range uses {
		var diags source.Diags
		tree := lang.Parse(source.NewFile("use", u.in.attach+" { "+u.text+" }"), table, nil, nil, &diags)
		if diags.HasErrors() {
			continue
		}
		var call *ast.Call
		for _, d := range tree.Decls {
			p, ok := d.(*ast.Probe)
			if !ok {
				continue
			}
			ast.Inspect(p.Body, func(n ast.Node) bool {
				if c, ok := n.(*ast.Call); ok && call == nil {
					call = c
				}
				return true
			})
		}
		if call == nil {
			continue
		}
		var args []string
		for _, a := range call.Args {
			args = append(args, a.Span().Text())
		}
		for i := range len(args) + 1 {
			for _, v := range values {
				changed := append(append([]string{}, args[:i]...), v.text)
				if i < len(args) {
					changed = append(changed, args[i+1:]...)
				}
				in := u.in
				in.decls += v.in.decls
				in.body += v.in.body
				list = append(list, use{name: u.name, text: u.name + "(" + strings.Join(changed, ", ") + ")", in: in})
			}
		}
	}
	return list
}

// operators combines values by every operator.
func operators(values []use) []use {
	var list []use
	for _, v := range values {
		for _, op := range []string{"-", "~", "!", "*", "&"} {
			list = append(list, use{name: op, text: op + v.text, in: v.in})
		}
		for _, t := range []string{"int8", "uint16", "int32", "uint64", "bool", "string[5]", "uint8[8]", "struct task_struct *", "enum pid_type", "uint8 *"} {
			list = append(list, use{name: "cast", text: "(" + t + ")" + v.text, in: v.in})
		}
	}
	for _, op := range []string{"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "==", "!=", "<", "<=", ">", ">=", "&&", "||"} {
		for _, a := range values {
			for _, b := range values {
				in := a.in
				// Both may declare the same names.
				if in.decls != b.in.decls {
					in.decls += b.in.decls
				}
				if in.body != b.in.body {
					in.body += b.in.body
				}
				list = append(list, use{name: op, text: "(" + a.text + " " + op + " " + b.text + ")", in: in})
			}
		}
	}
	return list
}

// attachments are attach points of each kind of probe that frozen kernels know.
var attachments = map[string][]string{
	"begin": {"begin"}, "end": {"end"}, "self": {"self:signal:SIGUSR1"}, "test": {"test:t"}, "bench": {"bench:b"},
	"kprobe": {"kprobe:vfs_read", "kprobe:vfs_read+4", "kprobe:vfs_*"}, "kretprobe": {"kretprobe:vfs_read"},
	"fentry": {"fentry:vfs_read"}, "fexit": {"fexit:vfs_read"},
	"tracepoint":    {"tracepoint:syscalls:sys_enter_openat", "tracepoint:sched:sched_switch", "tracepoint:syscalls:sys_exit_read"},
	"rawtracepoint": {"rawtracepoint:sched_switch", "rawtracepoint:sys_enter"},
	"uprobe":        {"uprobe:testdata/prog:add", "uprobe:testdata/prog:*"}, "uretprobe": {"uretprobe:testdata/prog:add"},
	"usdt":    {"usdt:testdata/usdt:*", "usdt:testdata/usdt:test:call"},
	"profile": {"profile:hz:99"}, "interval": {"interval:s:1"},
	"software": {"software:page-faults:100"}, "hardware": {"hardware:cache-misses:1000000"}, "watchpoint": {"watchpoint:0x10000000:8:w"},
	"iter": {"iter:task", "iter:task_file"},
	"xdp":  {"xdp:lo"}, "tc": {"tc:lo:ingress"}, "cgroup_skb": {"cgroup_skb:/:ingress"}, "lsm": {"lsm:file_open"},
	"netfilter": {"netfilter:ip:input"}, "cgroup_sock_addr": {"cgroup_sock_addr:/:connect4"}, "sock_ops": {"sock_ops:/"}, "sk_lookup": {"sk_lookup"}, "fmod_ret": {"fmod_ret:security_file_open"},
}

// inKinds returns u in every kind of probe.
func inKinds(u use) []use {
	var list []use
	for _, k := range probes.Kinds() {
		for _, a := range attachments[k.Name] {
			in := u
			in.name = k.Name + " " + u.name
			in.in.attach, in.in.pred = a, ""
			list = append(list, in)
		}
	}
	return list
}
