package tests

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/probes"
)

// Each word of the language (the name of a builtin or of a kind of probe) is in one
// file. Other files use a field of its Def or Kind, so that a new builtin or kind
// changes only its own file and the list.

// core lists the files of package builtins that do not define a builtin: its frame. Code
// that builtins share is in the packages below, or beside one of them.
var core = map[string]string{
	"accept.go":    "which decoded events and types are expected: checks an object with all Defs",
	"all.go":       "the list",
	"check.go":     "what type rules do with calls and their arguments: acts on Call and Checker",
	"checker.go":   "what type rules may ask",
	"def.go":       "what a builtin is",
	"emit.go":      "what code of builtins does with Dest and Lit",
	"env.go":       "what user-space halves may use",
	"gen.go":       "what code is built with",
	"reference.go": "documentation, generated from all Defs",
	"registry.go":  "lookup",
}

// makers returns the functions of a file that return values of a type of its package:
// *name or []*name.
func (p parsed) makers(name string) []*ast.FuncDecl {
	var list []*ast.FuncDecl
	for _, d := range p.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Type.Results == nil || len(f.Type.Results.List) != 1 {
			continue
		}
		typ := f.Type.Results.List[0].Type
		if a, ok := typ.(*ast.ArrayType); ok {
			typ = a.Elt
		}
		if s, ok := typ.(*ast.StarExpr); ok && isName(s.X, name) {
			list = append(list, f)
		}
	}
	return list
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// composites counts the composite literals of a type.
func (p parsed) composites(name string) int {
	n := 0
	ast.Inspect(p.File, func(node ast.Node) bool {
		if c, ok := node.(*ast.CompositeLit); ok && isName(c.Type, name) {
			n++
		}
		return true
	})
	return n
}

// texts lists the string literals below a node.
func texts(node ast.Node) []string {
	var list []string
	ast.Inspect(node, func(n ast.Node) bool {
		if _, ok := n.(*ast.ImportSpec); ok {
			return false
		}
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil {
				list = append(list, s)
			}
		}
		return true
	})
	return list
}

// defined returns the words for which a function makes values of a type: the
// Name of a composite literal, or the first argument of another function.
func defined(maker *ast.FuncDecl, typ string) []string {
	var list []string
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok {
			list = append(list, texts(l)...)
		}
	}
	ast.Inspect(maker, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if _, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 {
				add(n.Args[0])
			}
		case *ast.CompositeLit:
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok && isName(n.Type, typ) && isName(kv.Key, "Name") {
					add(kv.Value)
				}
			}
		}
		return true
	})
	return list
}

// homes returns the file of dir that defines each word. If no literal defines a
// word, because the definition uses a constant, its file is the one with its
// name.
func homes(t *testing.T, files []parsed, dir, typ string, words []string) map[string]string {
	t.Helper()
	home := map[string]string{}
	for _, f := range files {
		if filepath.ToSlash(filepath.Dir(f.path)) != dir {
			continue
		}
		for _, m := range f.makers(typ) {
			for _, s := range defined(m, typ) {
				switch {
				case !slices.Contains(words, s):
				case home[s] != "" && home[s] != f.path:
					t.Errorf("%s and %s both define %s", home[s], f.path, s)
				default:
					home[s] = f.path
				}
			}
		}
	}
	for _, w := range words {
		for _, f := range files {
			if home[w] == "" && f.path == dir+"/"+w+".go" {
				home[w] = f.path
			}
		}
		if home[w] == "" {
			t.Errorf("no file of %s defines %s", dir, w)
		}
	}
	return home
}

func builtinNames() []string {
	var names []string
	for _, d := range builtins.All() {
		names = append(names, d.Name)
	}
	return names
}

// TestOneBuiltinOneFile checks that a file of package builtins holds one Def,
// for a builtin or for a family made by one constructor, and has the name of
// one of them.
func TestOneBuiltinOneFile(t *testing.T) {
	files := product(t)
	home := homes(t, files, "builtins", "Def", builtinNames())
	named := map[string]bool{}
	for name, path := range home {
		stem := strings.TrimSuffix(filepath.Base(path), ".go")
		named[path] = named[path] || stem == strings.Trim(name, "_")
	}
	for _, f := range files {
		base := filepath.Base(f.path)
		if filepath.Dir(f.path) != "builtins" {
			continue
		}
		switch _, defines := named[f.path]; {
		case f.composites("Def") > 1:
			t.Errorf("%s holds %d builtins: each gets a file of its own", f.path, f.composites("Def"))
		case core[base] != "" && defines:
			t.Errorf("%s defines a builtin, which gets a file of its own", f.path)
		case core[base] == "" && !defines:
			t.Errorf("%s defines no builtin: it belongs elsewhere", f.path)
		case defines && !named[f.path]:
			t.Errorf("%s does not have the name of one of its builtins", f.path)
		}
	}
	for base := range core {
		if !slices.ContainsFunc(files, func(f parsed) bool { return f.path == "builtins/"+base }) {
			t.Errorf("the list names %s, which does not exist", base)
		}
	}
}

// homonyms lists the files that contain a word of the language with another meaning, or
// have to repeat it.
var homonyms = map[string]struct{ words, why string }{
	"runtime/object/elfobj/object.go":     {"tracepoint lsm xdp tc fentry fexit fmod_ret iter kprobe uprobe", "libbpf's names of sections, chosen by the type of the program"},
	"builtins/cgroupid.go":                {"path", "a parameter"},
	"builtins/comm.go":                    {"pid", "a parameter"},
	"builtins/lhist.go":                   {"min max", "parameters"},
	"builtins/quantile.go":                {"count", "a field of its result"},
	"builtins/paths/paths.go":             {"len", "a member of qstr"},
	"builtins/stacks/file.go":             {"end", "a member of maple_metadata"},
	"builtins/stacks/task.go":             {"pid", "a member of task_struct"},
	"builtins/kstack.go":                  {"limit", "a parameter"},
	"builtins/ustack.go":                  {"limit", "a parameter"},
	"builtins/pkt.go":                     {"len proto limit", "members of the packet and of the header of UDP; a variable of the IR"},
	"lang/source/files.go":                {"glob", "a kind of request"},
	"builtins/pcomm.go":                   {"comm", "a member of task_struct"},
	"builtins/percpu_kaddr.go":            {"cpu", "a parameter"},
	"builtins/ppid.go":                    {"pid", "a member of task_struct"},
	"builtins/printf.go":                  {"args", "a parameter"},
	"builtins/skboutput.go":               {"len path", "a member of sk_buff, a parameter"},
	"builtins/tseries.go":                 {"avg max min sum", "names of its own functions"},
	"cmd/gotrace/flags.go":                {"bench stats test pid comm uid cgroup container unit pcap", "flags and modes"},
	"cmd/gotrace/compile.go":              {"self", "a directory of /proc"},
	"codegen/lower/packed.go":             {"len", "a variable's name in the IR"},
	"runtime/object/asm.go":               {"exit", "an instruction"},
	"runtime/object/print.go":             {"count func pid", "fields of a point"},
	"runtime/store/store.go":              {"count delete", "uses of a map"},
	"codegen/ir/helper.go":                {"strncmp", "a helper of the kernel"},
	"codegen/ir/op.go":                    {"func kfunc zero", "operations"},
	"codegen/ir/print.go":                 {"ctx", "a type of the IR"},
	"lang/cdecl/decl.go":                  {"static_assert", "a word of C"},
	"lang/check/assign.go":                {"retval", "an example in a message"},
	"lang/config/vars.go":                 {"dw_ustack strlen tseries", "settings"},
	"lang/pcap/pcap.go":                   {"len port proto", "words of the filters"},
	"lang/pcap/ether.go":                  {"proto", "a word of the filters"},
	"lang/parse/grammar.go":               {"config probe", "keywords of declarations"},
	"lang/parse/lexdecl.go":               {"config probe", "keywords of declarations"},
	"probes/binary/sections.go":           {"str", "a section"},
	"probes/kernel/btftype.go":            {"retval", "printed by -lv as bpftrace does"},
	"runtime/output/profile/pprof.go":     {"count", "a unit of pprof"},
	"probes/perf.go":                      {"kprobe uprobe", "PMUs of the kernel"},
	"probes/skb.go":                       {"len", "a member of struct sk_buff"},
	"probes/feature.go":                   {"fentry kprobe", "features of a kernel"},
	"probes/self.go":                      {"signal", "a part of its attach points"},
	"probes/software.go":                  {"cpu", "a counter of the kernel"},
	"probes/uprobeargs.go":                {"args retval", "named in errors; printed by -lv"},
	"codegen/lower/follow.go":             {"pid", "a member of a kernel struct"},
	"codegen/lower/scope.go":              {"comm uid cgroup self", "members of kernel structs"},
	"cmd/gotrace/policy.go":               {"print", "a flag"},
	"cmd/gotrace/flows.go":                {"print", "a flag"},
	"cmd/gotrace/requests.go":             {"print port hist header", "flags"},
	"cmd/gotrace/scope.go":                {"comm uid cgroup pid container unit", "flags"},
	"runtime/cgroups/owner.go":            {"pod", "a part of the names of cgroups"},
	"runtime/cgroups/find.go":             {"cgroup", "a file of procfs"},
	"runtime/cgroups/roots.go":            {"cgroup", "a file system"},
	"runtime/value/text.go":               {"count", "a key of JSON, and of stats as text"},
	"runtime/output/csv.go":               {"time count alert test", "names of columns"},
	"runtime/output/otlp/sink.go":         {"alert end", "a severity of syslog and the kind of a record; a field of a span"},
	"runtime/output/metrics/metrics.go":   {"quantile", "a label of Prometheus"},
	"runtime/output/prometheus/accept.go": {"proto", "a parameter of a media type"},
	"runtime/output/json.go":              {"alert hist stats tseries", "types of results in JSON"},
	"lang/policy/cilium/labels.go":        {"container", "a source of labels"},
	"lang/policy/cilium/ports.go":         {"port path", "keys of a policy"},
	"lang/policy/falco/check.go":          {"len getopt in join glob", "Falco's operators and functions"},
	"lang/policy/falco/events.go":         {"pid uid gid path str drop container", "Falco's types of parameters, and its events"},
	"lang/policy/falco/exception.go":      {"in", "Falco's operator"},
	"lang/policy/falco/expr.go":           {"glob contains icontains startswith endswith in len join getopt", "Falco's operators and functions"},
	"lang/policy/falco/fields.go":         {"port arg print", "Falco's types and fields; a column of the table of fields"},
	"lang/policy/falco/items.go":          {"override", "a key of a rule"},
	"lang/policy/falco/opened.go":         {"in startswith endswith contains", "Falco's operators"},
	"lang/policy/falco/program.go":        {"in", "Falco's operator"},
	"lang/policy/falco/rules.go":          {"container capture override", "a plugin, keys of a rule"},
	"lang/policy/tetragon/names.go":       {"reg pid time cgroup", "types of files, and namespaces"},
	"lang/policy/tetragon/pods.go":        {"pid", "a namespace"},
	"lang/policy/tetragon/selector.go":    {"args", "a key of a policy"},
	"runtime/policy/cilium/json.go":       {"time", "keys of JSON"},
	"runtime/policy/cilium/lockout.go":    {"self", "a cgroup"},
	"runtime/policy/cilium/machine.go":    {"unit slice comm container", "labels of endpoints"},
	"runtime/policy/falco/containers.go":  {"pid", "a key of JSON"},
	"runtime/policy/falco/datum.go":       {"getopt len join", "Falco's functions"},
	"runtime/policy/falco/eventfields.go": {"tid pid ppid uid gid args comm", "Falco's fields"},
	"runtime/policy/falco/fields.go":      {"port proto path", "parts of Falco's fields"},
	"runtime/policy/falco/match.go":       {"in contains icontains startswith endswith glob", "Falco's operators"},
	"runtime/policy/tetragon/compact.go":  {"exit tracepoint uprobe usdt", "Tetragon's events as text"},
	"runtime/policy/tetragon/json.go":     {"time signal pid uid tid path args len proto port", "keys of JSON"},
	"runtime/policy/tetragon/kernel.go":   {"uid gid", "keys of JSON"},
	"runtime/policy/tetragon/names.go":    {"container", "a note on a process"},
	"runtime/policy/tetragon/tetragon.go": {"pid time cgroup", "namespaces"},
	"runtime/views/flows/criteria.go":     {"port pid comm container unit drop", "flags, a verdict"},
	"runtime/views/flows/decode.go":       {"proto len", "fields of the record that the script prints"},
	"runtime/views/flows/flow.go":         {"drop", "a verdict"},
	"runtime/views/flows/script.go":       {"drop", "the kind of a record"},
	"runtime/views/requests/http.go":      {"path", "the title of a column"},
	"runtime/views/requests/print.go":     {"container unit time pid comm", "keys of JSON"},
	"runtime/views/requests/routes.go":    {"count", "a key of JSON"},
}

// writers lists the files of policies that write expressions of scripts, whose words
// may be any builtin's, with what they write.
var writers = map[string]string{
	"lang/policy/tetragon/arg.go":     "the current task as the source of an argument",
	"lang/policy/tetragon/cel.go":     "arguments in expressions",
	"lang/policy/tetragon/emit.go":    "the values of an event, the keys of maps",
	"lang/policy/tetragon/hook.go":    "numbered arguments",
	"lang/policy/tetragon/locate.go":  "arguments and results of functions",
	"lang/policy/tetragon/process.go": "fields of the task",
	"lang/policy/falco/prefilter.go":  "comparisons of processes' names",
}

// TestOneFileKnowsTheWord checks that no other file has the word in a string.
func TestOneFileKnowsTheWord(t *testing.T) {
	files := product(t)
	known := homes(t, files, "builtins", "Def", builtinNames())
	for _, d := range builtins.All() {
		for _, name := range []string{d.TypeName, d.UnsignedType} {
			if name != "" {
				known[name] = known[d.Name]
			}
		}
	}
	var kinds []string
	for _, k := range probes.Kinds() {
		kinds = append(kinds, k.Name)
	}
	for name, path := range homes(t, files, "probes", "Kind", kinds) {
		known[name] = path
	}
	for _, k := range probes.Kinds() {
		for _, alias := range k.Aliases {
			if len(alias) > 2 { // shorter ones have many other meanings
				known[alias] = known[k.Name]
			}
		}
	}
	used := map[string]bool{}
	for _, f := range files {
		excused := strings.Fields(homonyms[f.path].words)
		for _, s := range texts(f.File) {
			switch path, ok := known[s]; {
			case !ok || f.path == path:
			case writers[f.path] != "":
				used[f.path] = true
			case slices.Contains(excused, s):
				used[f.path+" "+s] = true
			default:
				t.Errorf("%s has the word %q, which only %s may contain: use a field of Def or Kind", f.path, s, path)
			}
		}
	}
	for path := range writers {
		if !used[path] {
			t.Errorf("the list excuses %s, which has no word of the language", path)
		}
	}
	for path, h := range homonyms {
		for _, w := range strings.Fields(h.words) {
			if !used[path+" "+w] {
				t.Errorf("the list excuses %s for %q, which it does not have", path, w)
			}
		}
	}
}

// TestKindsInTexts checks that texts do not name kinds of probes, except in the kind's own
// file, in documentation and in the files of exemptTexts.
func TestKindsInTexts(t *testing.T) {
	var names []string
	own := map[string]string{}
	for _, k := range probes.Kinds() {
		names = append(names, k.Name)
	}
	files := product(t)
	for name, path := range homes(t, files, "probes", "Kind", names) {
		own[name] = path
	}
	pattern := regexp.MustCompile(`\b(` + strings.Join(names, "|") + `)(?::[^ ]|s\b)`)
	// Examples of the documentation, and plurals of names that are words of English.
	example := regexp.MustCompile("^`[a-z_]+:.*[{].*[}]`$")
	english := regexp.MustCompile(`\b(?:begin|end|self|test|bench|profile|interval|iter)s\b`)
	used := map[string]bool{}
	for _, f := range files {
		if writers[f.path] != "" {
			continue
		}
		docs := docRanges(f)
		ast.Inspect(f.File, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING || slices.ContainsFunc(docs, func(d ast.Node) bool { return d.Pos() <= l.Pos() && l.End() <= d.End() }) {
				return true
			}
			for _, m := range pattern.FindAllStringSubmatch(l.Value, -1) {
				switch {
				case own[m[1]] == f.path, english.MatchString(m[0]):
				case strings.HasPrefix(f.path, "builtins/") && example.MatchString(l.Value):
				case exemptTexts[f.path] != "":
					used[f.path] = true
				default:
					t.Errorf("%s:%d names the kind %s: %.150s", f.path, f.line(l.Pos()), m[1], l.Value)
				}
			}
			return true
		})
	}
	for path := range exemptTexts {
		if !used[path] {
			t.Errorf("the list excuses %s, which names no kind", path)
		}
	}
}

// docRanges returns the literals of documentation in a file: of types named Doc and Manual.
func docRanges(f parsed) (list []ast.Node) {
	ast.Inspect(f.File, func(n ast.Node) bool {
		if c, ok := n.(*ast.CompositeLit); ok && (isName(c.Type, "Doc") || isName(c.Type, "Manual")) {
			list = append(list, c)
		}
		return true
	})
	return list
}

// exemptTexts lists the files whose texts name kinds, with the reason.
var exemptTexts = map[string]string{
	"builtins/arg.go":                  "bpftrace's message",
	"builtins/kstack.go":               "the kinds of iterators that can do what was refused",
	"builtins/override.go":             "bpftrace's message",
	"builtins/uaddr.go":                "bpftrace's message",
	"cmd/gotrace/flags.go":             "an example of an argument",
	"cmd/gotrace/pcap.go":              "examples of probes with packets",
	"cmd/gotrace/permissions.go":       "what does not work without a right, also for parts of a kind",
	"cmd/gotrace/usage.go":             "the examples of the help",
	"lang/policy/cilium/connect.go":    "writes a script",
	"lang/policy/cilium/translate.go":  "writes a script",
	"lang/policy/procs/procs.go":       "a script",
	"lang/policy/tetragon/action.go":   "a key of policies, which has that name",
	"lang/policy/tetragon/fail.go":     "writes a script",
	"lang/policy/tetragon/programs.go": "a script",
	"lang/policy/tetragon/script.go":   "a script",
	"lang/policy/tetragon/tetragon.go": "keys of policies",
	"probes/feature.go":                "describes features of the kernel",
	"probes/kernel/kernel.go":          "a list of the kernel",
	"probes/refusal.go":                "a file of the kernel",
	"probes/syscalls.go":               "the events of the kernel, whose kind uses this file",
	"runtime/refusals.go":              "a way out for a refusal of the verifier, which knows no kind",
	"runtime/unwind/files.go":          "a mapping of the kernel",
	"runtime/views/flows/script.go":    "a script",
	"runtime/views/flows/watch.go":     "a script",
}
