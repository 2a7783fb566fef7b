package builtins

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gotrace/gotrace/lang/types"
)

// TestTable checks that each builtin has the functions that its kind needs, and
// documentation.
func TestTable(t *testing.T) {
	names, typeNames := map[string]bool{}, map[string]bool{}
	for _, d := range All() {
		if names[d.Name] {
			t.Errorf("%s is there twice", d.Name)
		}
		names[d.Name] = true
		missing := func(what string, ok bool) {
			if !ok {
				t.Errorf("%s: no %s", d.Name, what)
			}
		}
		missing("Check", (d.Check != nil) != (d.Written != nil))
		missing("summary that ends with a full stop", strings.HasSuffix(d.Doc.Summary, "."))
		missing("example", len(d.Doc.Examples) > 0)
		for _, e := range d.Doc.Examples {
			used := strings.Contains(e, d.Name) || d.NotOperator != "" && (strings.Contains(e, d.Operator) || strings.Contains(e, d.NotOperator))
			missing("use of it in its example", used)
		}
		switch d.Kind {
		case Variable, Function:
			missing("Emit or Store", d.Emit != nil || d.Store != nil || d.Written != nil)
			missing("parameter", d.Kind == Variable || len(d.Params) > 0)
			if d.Kind == Variable && len(d.Params) > 0 && !d.Params[0].Optional {
				t.Errorf("%s: a variable that needs an argument is a function", d.Name)
			}
		case Aggregation:
			missing("Update", d.Update != nil)
			missing("Merge", d.Merge != nil)
			missing("Format", d.Format != nil)
			missing("Rank", d.Rank != nil)
			missing("TypeName", d.TypeName != "")
			if d.Result != nil && d.Scalar == nil || (d.Scalar != nil) != (d.Accum > 0) {
				t.Errorf("%s: Scalar, Result and Accum go together", d.Name)
			}
		case Action:
			missing("Emit", d.Emit != nil)
		}
		if d.TypeName != "" {
			missing("Format for its type", d.Format != nil)
			if typeNames[d.TypeName] {
				t.Errorf("%s: type %s belongs to two builtins", d.Name, d.TypeName)
			}
			typeNames[d.TypeName] = true
		}
		optional := false
		for i, p := range d.Params {
			if optional && !p.Optional && !p.Variadic {
				t.Errorf("%s: %s follows an optional parameter", d.Name, p.Name)
			}
			optional = optional || p.Optional
			if p.Variadic && i != len(d.Params)-1 {
				t.Errorf("%s: %s is variadic and not the last one", d.Name, p.Name)
			}
		}
	}
}

func TestRegistry(t *testing.T) {
	r := NewRegistry(All())
	for name, want := range map[string]string{
		"pid": "pid", "arg0": "arg", "arg255": "arg", "arg": "", "arg256": "", "arg01": "", "arg+1": "", "argx": "", "args": "args", "nope": "",
	} {
		got := ""
		if d := r.Lookup(name); d != nil {
			got = d.Name
		}
		if got != want {
			t.Errorf("Lookup(%q) = %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"count_t": "count", "sum_t": "sum", "usum_t": "sum", "umin_t": "min", "uavg_t": "avg", "ustats_t": "stats",
		"ustack_t": "ustack", "kstack_t": "kstack", "usym_t": "usym", "ksym_t": "ksym", "username_t": "username", "nope": "",
	} {
		got := ""
		if d := r.ForType(name); d != nil {
			got = d.Name
		}
		if got != want {
			t.Errorf("ForType(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSynopsis(t *testing.T) {
	for name, want := range map[string]string{
		"pid": "pid([namespace])", "uid": "uid", "count": "count()", "printf": "printf(format[, args…])",
		"lhist": "lhist(n, min, max, step)", "kstack": "kstack([mode[, task[, limit[, skip]]]])", "find": "find(@map, key, $var)", "arg0": "arg0, arg1, …",
	} {
		if got := NewRegistry(All()).Lookup(name).Synopsis(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestStrftime(t *testing.T) {
	old := time.Local
	time.Local = time.FixedZone("CET", 3600)
	defer func() { time.Local = old }()
	when := time.Date(2026, time.March, 1, 12, 4, 5, 6789000, time.UTC)
	for format, want := range map[string]string{
		"%H:%M:%S": "13:04:05", "%Y-%m-%d %j": "2026-03-01 060", "%F %T.%f": "2026-03-01 13:04:05.006789",
		"%a %A %b %B %h": "Sun Sunday Mar March Mar", "%e|%k|%l|%I %p": " 1|13| 1|01 PM", "%u %w %U %W %V %G %g": "7 0 09 08 09 2026 26",
		"%D %x %R %r": "03/01/26 03/01/26 13:04 01:04:05 PM", "%c": "Sun Mar  1 13:04:05 2026", "%C %y": "20 26", "%z %Z": "+0100 CET",
		"%-d|%_H|%^a|%5Y|%#Z|%0e": "1|13|SUN|02026|cet|01", "%_m|%-m|%-H|%-j|%_j|%08d": " 3|3|13|60| 60|00000001", "%^B|%#a|%#p|%#B": "MARCH|SUN|pm|MARCH",
		"%10A|%-10A|%010A|%_5d|%05e|%^c": "    Sunday|    Sunday|0000Sunday|    1|00001|SUN MAR  1 13:04:05 2026", "%Ey|%EY|%Ec|%5s": "26|2026|Sun Mar  1 13:04:05 2026|1772366645",
		"%-z|%z|%7z": "+100|+0100|+000100", "%+|%Q|%N|%E|%O|%:z|%v|%_": "%+|%Q|%N|%E|%O|%:z|%v|%_", "%10F|%_C|%-I|%-y|%3n|": "2026-03-01|20|1|26|  \n|",
		"%s": "1772366645", "%n%t%%": "\n\t%", "%q %": "%q %", "%Ey %Od": "26 01", "": "", "plain": "plain",
	} {
		if got := string(appendTime(nil, format, when)); got != want {
			t.Errorf("%q: %q, want %q", format, got, want)
		}
	}
}

func TestChecks(t *testing.T) {
	i64, s8 := argOf(types.TInt64), argOf(types.NewString(8))
	tuple := argOf(types.NewTuple(types.TInt8, types.TInt8))
	word := func(w string) Arg { return Arg{Word: w} }
	for _, c := range []struct {
		def  *Def
		args []Arg
		want string
	}{
		{count(), []Arg{i64}, "count() requires no arguments (1 provided)"},
		{sum(), nil, "sum() requires one argument (0 provided)"},
		{sum(), []Arg{s8}, "sum() only supports integer arguments (string[8] provided)"},
		{hist(), []Arg{i64, intLit(6)}, "hist: bits 6 must be 0..5"},
		{hist(), []Arg{i64, i64}, "hist: invalid bits value, must be literal in the range 0..5"},
		{hist(), nil, "hist() requires at least one argument (0 provided)"},
		{hist(), []Arg{i64, i64, i64}, "hist() takes up to 2 arguments (3 provided)"},
		{lhist(), []Arg{i64, intLit(0), intLit(0), intLit(1)}, "lhist() step is too large for the given range (provided step 1 for range 0)"},
		{lhist(), []Arg{i64, intLit(10), intLit(0), intLit(1)}, "lhist() min must be less than max (provided min 10 and max 0)"},
		{lhist(), []Arg{i64, intLit(0), intLit(100000), intLit(1)}, "lhist() too many buckets, must be <= 1000 (would need 100000)"},
		{lhist(), []Arg{i64, intLit(0), intLit(10), intLit(-1)}, "lhist: invalid step value (must be non-negative literal)"},
		{lhist(), []Arg{i64, intLit(0), intLit(10), intLit(0)}, "lhist() step must be >= 1 (0 provided)"},
		{lhist(), []Arg{i64, intLit(0), intLit(10), i64}, "lhist: invalid step value (must be non-negative literal)"},
		{lhist(), []Arg{i64, intLit(0), intLit(10)}, "lhist() requires 4 arguments (3 provided)"},
		{str(), []Arg{tuple}, "str() expects a string, integer or a pointer type as first argument (tuple provided)"},
		{str(), []Arg{i64, intLit(-1)}, "str cannot use negative length (-1)"},
		{str(), []Arg{i64, s8}, "str() only supports int arguments (string provided)"},
		{pid(), []Arg{word("foo")}, "Invalid PID namespace mode:  (expects: curr_ns or init)"},
		{nsecs(), []Arg{word("foo")}, "Invalid timestamp mode: foo"},
		{kstack(), []Arg{intLit(2000)}, "kstack([int limit]): limit shouldn't exceed 1024, 2000 given"},
		{kstack(), []Arg{s8}, "kstack: invalid limit value"},
		{kstack(), []Arg{intLit(3), word("perf")}, "Expected stack mode as first argument"},
		{kstack(), []Arg{word("perf"), intLit(3)}, ""},
		{kstack(), []Arg{word("perf"), intLit(3), intLit(255)}, ""},
		{kstack(), []Arg{intLit(3), intLit(256)}, "kstack: at most 255 frames can be left out"},
		{kstack(), []Arg{intLit(3), intLit(1), intLit(2)}, "Expected stack mode as first argument"},
		{exit(), []Arg{intLit(1), intLit(2)}, "exit() takes up to one argument (2 provided)"},
		{exit(), []Arg{s8}, "exit() only supports int arguments (string provided)"},
		{clearMap(), []Arg{i64}, "clear() expects a map argument"},
		{wallTime(), []Arg{strLit("%H"), strLit("x")}, "time() takes up to one argument (2 provided)"},
		{strftime(), []Arg{strLit("%H"), intLit(-1)}, "strftime() does not accept negative timestamps"},
		{strftime(), []Arg{strLit("%H"), argOf(&types.Type{Kind: types.Int, Size: 8, Name: clockMonotonic})}, "strftime() cannot take a monotonic timestamp"},
		{strncmp(), []Arg{s8, s8, intLit(-1)}, "Builtin strncmp requires a non-negative literal"},
		{strncmp(), []Arg{s8, i64, intLit(1)}, "strncmp() only supports string arguments (int provided)"},
		{buf(), []Arg{s8}, "buf() expects a length argument for non-array type string"},
		{buf(), []Arg{tuple}, "buf() expects an integer, string, or array argument but saw tuple"},
		{ntop(), []Arg{argOf(types.NewArray(types.TUint8, 5))}, "ntop() argument must be 4 or 16 bytes in size"},
		{pton(), []Arg{strLit("x")}, "pton() expects a valid IPv4/IPv6 address, got x"},
		{pton(), []Arg{strLit("fe80::1%eth0")}, "pton() expects a valid IPv4/IPv6 address, got fe80::1%eth0"},
		{macaddr(), []Arg{strLit("abcdef")}, "macaddr() does not support literal string arguments"},
		{macaddr(), []Arg{argOf(types.NewArray(types.TUint8, 5))}, "macaddr() argument must be at least 6 bytes in size"},
		{bswap(), []Arg{s8}, "bswap() only supports integer arguments (string provided)"},
		{kptr(), []Arg{s8}, "kptr() only supports integer or pointer arguments (string provided)"},
		{getopt(), []Arg{i64}, "First argument to 'getopt' must be a string literal."},
		{getopt(), []Arg{strLit("x"), i64}, "Second argument to 'getopt' must be a string literal, integer literal, or a boolean literal."},
		{staticAssert(), []Arg{intLit(0), strLit("boo")}, "boo"},
		{staticAssert(), []Arg{intLit(1), strLit("boo")}, ""},
		{fail(), []Arg{strLit("a %d %s %5s|"), intLit(2), intLit(3), strLit("x")}, "a 2 3     x|"},
		{signal(), []Arg{strLit("KILLX")}, "Invalid string for signal: KILLX"},
		{signal(), []Arg{strLit("SIGKILL")}, ""},
		{signal(), []Arg{strLit("KILL")}, ""},
		{override(), []Arg{i64}, "override can only be used in kprobes"},
		{retval(), nil, "The retval builtin can only be used with 'kretprobe' and 'uretprobe' and 'fexit' probes"},
		{args(), nil, "The args builtin can only be used with tracepoint, rawtracepoint, fentry/fexit, and uprobe probes (function used here)"},
		{reg(), []Arg{strLit("ip")}, `reg can not be used with "these" probes: they have no registers`},
	} {
		checkCall(t, c.def, c.args, c.want)
	}
}

// TestStackOfTask checks where ustack(task) cannot be used.
func TestStackOfTask(t *testing.T) {
	to := func(name string) *types.Type {
		return types.NewPointer(&types.Type{Kind: types.Struct, Name: name}, types.Kernel)
	}
	for _, c := range []struct {
		t     *types.Type
		pidns *PIDNamespace
		want  string
	}{
		{to("struct task_struct"), &PIDNamespace{}, "ustack(task) needs the initial pid namespace"},
		{to("struct file"), nil, "ustack(task) takes a pointer to a struct task_struct, not struct file *"},
		{types.NewPointer(types.TUint64, types.Kernel), nil, "ustack(task) takes a pointer to a struct task_struct, not uint64 *"},
		{types.NewPointer(types.TVoid, types.Kernel), nil, "ustack(task) takes a pointer to a struct task_struct, not void *"},
	} {
		k := newTestChecker()
		k.session.PIDNS = c.pidns
		ustack().Check(k, &Call{Def: ustack(), Args: []Arg{argOf(c.t)}})
		if got := k.messages(); len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s: %q, want %s", c.t, got, c.want)
		}
	}
}

func TestArgN(t *testing.T) {
	c := newTestChecker()
	argN().Check(c, &Call{Def: argN(), Name: "arg3"})
	if got := c.messages(); len(got) != 1 || !strings.Contains(got[0], "The arg3 builtin can only be used with") {
		t.Error(got)
	}
}

func TestGetopt(t *testing.T) {
	for _, c := range []struct {
		given string
		def   []Arg
		want  Lit
		ok    bool
	}{
		{"5", []Arg{intLit(1)}, Lit{Int: 5}, true},
		{"0x10", []Arg{intLit(1)}, Lit{Int: 16}, true},
		{"x", []Arg{intLit(1)}, Lit{}, false},
		{"18446744073709551615", []Arg{intLit(1)}, Lit{Int: -1, Unsigned: true}, true},
		{"text", []Arg{strLit("d")}, Lit{Str: "text", IsStr: true}, true},
		{"", nil, Lit{Int: 1, IsBool: true}, true},
		{"false", nil, Lit{IsBool: true}, true},
		{"Yes", nil, Lit{Int: 1, IsBool: true}, true},
		{"off", nil, Lit{IsBool: true}, true},
		{"maybe", nil, Lit{}, false},
	} {
		ck := newTestChecker()
		ck.session.Options = map[string]string{"o": c.given}
		call := &Call{Def: getopt(), Args: append([]Arg{strLit("o")}, c.def...)}
		got := getopt().Check(ck, call)
		if ok := !ck.diags.HasErrors(); ok != c.ok {
			t.Errorf("%q: %v", c.given, ck.messages())
		} else if ok && (*call.Lit != c.want || got.Kind == types.Invalid) {
			t.Errorf("%q: %+v, want %+v", c.given, *call.Lit, c.want)
		}
	}
}

func TestPcap(t *testing.T) {
	name := t.TempDir() + "/x.pcap"
	for range 2 {
		if err := appendPacket(name, time.Unix(1, 2000), 9, []byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	packet := "\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x09\x00\x00\x00abc"
	want := "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x65\x00\x00\x00" + packet + packet
	if string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRuleZone checks that TZ is interpreted as glibc does.
func TestRuleZone(t *testing.T) {
	summer, winter := time.Unix(1752580800, 0), time.Unix(1768478400, 0) // 2025-07-15 and 2026-01-15, noon
	for tz, want := range map[string]string{
		"JST-9":                            "21:00 +0900 JST, 21:00 +0900 JST",
		"CET-1CEST,M3.5.0,M10.5.0/3":       "14:00 +0200 CEST, 13:00 +0100 CET",
		"<+0330>-3:30":                     "15:30 +0330 +0330, 15:30 +0330 +0330",
		"EST5EDT4,M3.2.0/2,M11.1.0/2":      "08:00 -0400 EDT, 07:00 -0500 EST",
		"NZST-12NZDT,M9.5.0,M4.1.0/3":      "00:00 +1200 NZST, 01:00 +1300 NZDT",
		"<-03>3<-02>,M3.5.0/-2,M10.5.0/-1": "10:00 -0200 -02, 09:00 -0300 -03",
		"AAA-1BBB,J60,J300":                "14:00 +0200 BBB, 13:00 +0100 AAA",
		"Foo/Bar":                          "12:00 +0000 Foo, 12:00 +0000 Foo",
		"<abc>":                            "12:00 +0000 abc, 12:00 +0000 abc",
		"ABC99":                            "12:00 -2400 ABC, 12:00 -2400 ABC",
		"ABC-25":                           "12:00 +2400 ABC, 12:00 +2400 ABC",
		"ABC3:70":                          "08:01 -0359 ABC, 08:01 -0359 ABC",
		"ABC-5:30:15":                      "17:30 +0530 ABC, 17:30 +0530 ABC",
	} {
		zone := ruleZone(tz)
		if zone == nil {
			t.Errorf("%s: not taken for a rule", tz)
			continue
		}
		const layout = "15:04 -0700 MST"
		if got := summer.In(zone).Format(layout) + ", " + winter.In(zone).Format(layout); got != want {
			t.Errorf("%s: %s, want %s", tz, got, want)
		}
	}
	for _, tz := range []string{"", "UTC", "Europe/Berlin", ":Europe/Berlin", "/etc/localtime"} {
		if zone := ruleZone(tz); zone != nil && (tz == "" || tz[0] == ':' || tz[0] == '/') {
			t.Errorf("%q: taken for a rule: %s", tz, zone)
		}
	}
}
