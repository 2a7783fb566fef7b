package tetragon

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// compiled translates and compiles policies. It returns the messages of errors, each with
// its place.
func compiled(t testing.TB, k probes.Kernel, text string, unsafe bool) string {
	t.Helper()
	var diags source.Diags
	docs := documents(text, &diags)
	if !diags.HasErrors() {
		m := &Machine{Namespaces: InitialNamespaces(), Failable: map[string]bool{}}
		// The reports about processes use more of the kernel than the frozen one has.
		if tr := Translate(docs, m, &policy.Terms{Kernel: k, Unsafe: unsafe}, &diags); tr != nil {
			own, _, _ := strings.Cut(tr.Script.Text[:tr.preamble], "macro __exec_memfd")
			f := source.NewFile("script", own+tr.Script.Text[tr.preamble:])
			_, err := codegen.Compile(f, codegen.Request{Env: &probes.Env{Kernel: k}, Invocation: &builtins.Invocation{Unsafe: unsafe}}, &diags)
			if err != nil && !diags.HasErrors() {
				t.Fatalf("%v\n%s\n%s", err, text, tr.Script.Text[tr.preamble:])
			}
		}
	}
	var b strings.Builder
	for _, d := range diags.All() {
		if d.Severity == source.Error {
			b.WriteString(d.Render())
		}
	}
	return b.String()
}

func policyWith(spec string) string {
	return "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: test}\nspec:\n" + spec
}

// valuesFor returns values that an operator takes.
func valuesFor(op string) string {
	switch {
	case strings.Contains(op, "Addr"):
		return `[10.0.0.0/8, "::1", fe80::/10]`
	case op == "Protocol":
		return "[IPPROTO_TCP, UDP, 1]"
	case op == "Family":
		return "[AF_INET, INET6, 1]"
	case op == "State":
		return "[TCP_LISTEN, CLOSE]"
	case strings.Contains(op, "Range"):
		return `["1:5", "0x10:0x20"]`
	case strings.Contains(op, "FileType"):
		return "[reg, dir]"
	case op == "CapabilitiesGained":
		return "[CAP_SYS_ADMIN]"
	}
	return "[1, 2]"
}

// TestOperators uses each operator on each type of arguments. A policy either compiles or
// is an error that names the operator and the type.
func TestOperators(t *testing.T) {
	k := frozen(t)
	numbers := "Equal NotEqual InMap NotInMap InRange NotInRange GT LT GreaterThan LessThan Mask"
	texts := "Equal NotEqual InMap NotInMap Prefix NotPrefix Postfix NotPostfix SubString SubStringIgnCase"
	files := texts + " FileType NotFileType"
	ends := "SPort NotSPort SPortPriv NotSPortPriv NotSportPriv DPort NotDPort DPortPriv NotDPortPriv SAddr NotSAddr DAddr NotDAddr Family"
	for _, c := range []struct{ types, operators string }{
		{"int int8 int16 int32 int64 sint8 sint16 sint32 sint64 uint8 uint16 uint32 uint64 long ulong size_t syscall64 capability bpf_cmd", numbers},
		{"kernel_cap_t cap_effective cap_permitted cap_inheritable", numbers + " CapabilitiesGained"},
		{"string filename data_loc char_buf const_buf iov_iter sockaddr_un module net_device", texts},
		{"file fd path dentry linux_binprm kiocb auto", files},
		{"sock socket", ends + " Protocol State"},
		{"skb", ends + " Protocol"},
		{"sockaddr", ends},
		{"nop char_iovec bpf_attr bpf_map bpf_prog perf_event user_namespace cred", ""},
	} {
		for _, typ := range strings.Fields(c.types) {
			for _, op := range append(keys(negations), operators...) {
				spec := fmt.Sprintf("  kprobes:\n  - call: security_file_open\n    syscall: false\n    args: [{index: 0, type: %s}]\n"+
					"    selectors: [{matchArgs: [{index: 0, operator: %s, values: %s}]}]\n", typ, op, valuesFor(op))
				msg := compiled(t, k, policyWith(spec), false)
				can := slices.Contains(strings.Fields(c.operators), op)
				refused := strings.Contains(msg, "the operator "+op+" cannot be used with the type ")
				if op != "CelExpr" && (can && msg != "" || !can && !refused) {
					t.Errorf("%s with %s: %s", op, typ, msg)
				}
			}
		}
	}
}

// TestLongLists compares a text with many long values, which are tested in groups.
func TestLongLists(t *testing.T) {
	k := frozen(t)
	var values []string
	for i := range 24 {
		values = append(values, fmt.Sprintf("/var/%d/%s", i, strings.Repeat("abcdefgh", 6)))
	}
	for _, op := range []string{"Prefix", "SubString"} {
		spec := fmt.Sprintf("  kprobes:\n  - call: sys_openat\n    args: [{index: 1, type: string}]\n"+
			"    selectors: [{matchArgs: [{index: 1, operator: %s, values: [%s]}]}]\n", op, strings.Join(values, ", "))
		if msg := compiled(t, k, policyWith(spec), false); msg != "" {
			t.Errorf("%s: %s", op, msg)
		}
	}
}

// TestTypes uses all types of arguments in each kind of hook on the frozen kernels.
func TestTypes(t *testing.T) {
	for _, version := range []string{"5.10", "6.12"} {
		if testing.Short() && version != "6.12" {
			continue
		}
		k, err := kernel.Frozen("../../../tests/kernels/" + version + ".zip")
		if err != nil {
			t.Fatal(err)
		}
		for _, head := range []string{
			"kprobes:\n  - {call: security_file_open, syscall: false, args: [{index: 0, type: TYPE}]}",
			"kprobes:\n  - {call: sys_openat, args: [{index: 1, type: TYPE}], return: true, returnArg: {index: 0, type: TYPE}}",
			"fentries:\n  - {call: security_file_open, syscall: false, args: [{index: 0, type: TYPE}]}",
			"tracepoints:\n  - {subsystem: syscalls, event: sys_enter_openat, args: [{index: 6, type: TYPE}]}",
			"tracepoints:\n  - {subsystem: sched, event: sched_process_exec, raw: true, args: [{index: 0, type: TYPE}]}",
		} {
			section, item, _ := strings.Cut(head, "\n")
			spec := "  " + section + "\n"
			for _, typ := range append(keys(argTypes.Get()), "auto") {
				if a := argTypes.Get()[typ]; a != nil && strings.HasSuffix(a.c, "*") {
					if _, err := k.Type(strings.TrimSuffix(a.c, "*")); err != nil {
						continue // the frozen kernel does not have all
					}
				}
				spec += strings.ReplaceAll(item, "TYPE", typ) + "\n"
			}
			if msg := compiled(t, k, policyWith(spec), false); msg != "" {
				t.Errorf("%s, %s: %s", version, item, msg)
			}
		}
	}
}

// TestCelExpressions translates CEL expressions to conditions, or to error messages.
func TestCelExpressions(t *testing.T) {
	arg := func(name string) (celValue, error) {
		switch name {
		case "arg0":
			return celValue{"$a0", celNumber}, nil
		case "arg1":
			return celValue{"$v1", celText}, nil
		}
		return celValue{}, fmt.Errorf("there is no variable '%s'", name)
	}
	for _, c := range []struct{ in, want string }{
		{"arg0 == 1", "($a0 == 1)"},
		{"arg0 == 0x10u || arg0 < -5", "(($a0 == 16) || ($a0 < -5))"},
		{"!(arg0 > 1 && arg0 <= 7) || false", "(!((($a0 > 1) && ($a0 <= 7))) || false)"},
		{"arg0 + 2 * 3 - 1 != 9 % 4 / 1", "((($a0 + (2 * 3)) - 1) != ((9 % 4) / 1))"},
		{"int(arg0) >= u32(arg0)", "((int64)($a0) >= (uint32)($a0))"},
		{"arg0 in [1, -2, 3u]", "($a0 in (1, -2, 3))"},
		{"arg0 in []", "false"},
		{`arg1 == "a\"b" || arg1 in ['x', "y"]`, `(($v1 == "a\"b") || ($v1 in ("x", "y")))`},
		{`arg1.startsWith("/etc") && !arg1.endsWith('d') && arg1.contains("x") && arg1.matches("^a+$")`,
			`(((($v1 startswith "/etc") && !(($v1 endswith "d"))) && ($v1 contains "x")) && ($v1 =~ "^a+$"))`},
		{"arg0 > 0 ? arg0 < 9 : true", "(($a0 > 0) ? ($a0 < 9) : true)"},
		{"", "the expression is not complete"}, {"arg0", "the result is a number, and must be a boolean"},
		{"arg0 ==", "the expression is not complete"}, {"arg0 == 'a'", "== takes a number, not a string"},
		{"arg9 == 1", "there is no variable 'arg9'"}, {"arg0 == 1)", "')' is not expected here"}, {"(arg0 == 1", "')' is missing"},
		{"arg0 && true", "&& takes a boolean, not a number"}, {"arg1 < 'a'", "< takes a number, not a string"}, {"arg1.size() == 1", "there is no function 'size' of values"},
		{"arg0 == 'a", "a string does not end"}, {"arg0 == 1.5", "there is no function '5' of values"}, {"arg0 == 010", "'010' is not a number"},
		{"arg0 == 99999999999999999999", "'99999999999999999999' is not a number"}, {"arg0 @ 1", "'@' is not expected here"},
		{"true && " + strings.Repeat("(", 70) + "true" + strings.Repeat(")", 70), "the expression is too deep"},
		{strings.Repeat("!", 70) + "true", "the expression is too deep"},
	} {
		got, err := celExpression(c.in, arg)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.in, got, c.want)
		}
	}
}
