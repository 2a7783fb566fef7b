package falco

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
	"github.com/gotrace/gotrace/tests/schema"
)

// machine is an engine with rules and a few processes: init, sshd (10), bash (11) and, in
// it, cat (12).
func machine(t testing.TB, rules string, format Format) (*engine, *strings.Builder) {
	t.Helper()
	k, err := kernel.Frozen("../../../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	var diags source.Diags
	docs := policy.Documents(source.NewFile("rules.yaml", rules), &diags)
	p := falco.Translate(docs, falco.EveryRule(), &policy.Terms{Kernel: k}, &diags)
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	out := &strings.Builder{}
	e := NewSink(p, format, output.NewWriter(out, output.None), io.Discard, output.Style{}).(*engine)
	e.table = procs.New(t.TempDir())
	e.users = procs.NewNames(t.TempDir())
	e.hostname = "here"
	add := func(pid, parent int32, start uint64, comm string, args ...string) {
		e.table.Put(&procs.Process{PID: pid, Parent: parent, Start: start, Comm: comm, Path: "/bin/" + comm, Args: args,
			Env: []string{"HOME=/root", "X=1"}, LoginUID: 1000, Session: 11, Group: pid, Owner: new(string)})
	}
	add(1, 0, 0, "init", "/sbin/init")
	add(10, 1, 10, "sshd", "sshd", "-D")
	add(11, 10, 11, "bash", "-bash")
	add(12, 11, 12, "cat", "cat", "-n", "a b", "/etc/shadow")
	return e, out
}

// openat is a call of cat that opens a file.
func openat(e *engine, name, cwd string, flags uint64, ret int64) value.Value {
	w := e.watched[0]
	v := make(value.Tuple, falco.Result+1+len(w.Index))
	for i := range v {
		v[i] = value.Uint(0)
	}
	v[falco.PID], v[falco.TID], v[falco.Parent], v[falco.Time] = value.Int(12), value.Int(12), value.Int(11), value.Uint(7e9)
	v[falco.Comm], v[falco.Result], v[falco.LoginUID] = value.Str{S: "cat"}, value.Int(ret), value.Uint(1000)
	v[falco.Session] = value.Int(11)
	v[falco.CapEffective], v[falco.TTY] = value.Uint(1<<21|1), value.Uint(136<<20|3)
	dir := int64(7)
	for name, x := range map[string]value.Value{
		"a0": value.Uint(uint64(dir)), "a2": value.Uint(flags), "a3": value.Uint(0o644), "s1": value.Str{S: name}, "d0": value.Str{S: cwd},
		"cwd": value.Str{S: "/elsewhere"}, "dev": value.Uint(8<<20 | 1), "ino": value.Uint(99),
	} {
		if i, ok := w.Index[name]; ok {
			v[i] = x
		}
	}
	return v
}

// conditions are conditions with their values for the event of TestConditions.
var conditions = []struct {
	condition string
	want      bool
}{
	{"fd.name = /etc/shadow", true},
	{"fd.name == /etc/shadow", true},
	{"fd.name != /etc/shadow", false},
	{"fd.name in (/a, /etc/shadow)", true},
	{"fd.name in ()", false},
	{"fd.nameraw = ../shadow", true},
	{"fd.directory = /etc and fd.filename = shadow", true},
	{"fd.name startswith /etc and fd.name endswith dow and fd.name contains c/s", true},
	{"fd.name startswith oneof (/a, /etc)", true},
	{"fd.name contains allof (etc, shadow)", true},
	{"fd.name contains allof (etc, nothing)", false},
	{"fd.name glob '/*/sha?ow'", true},
	{"fd.name glob '/*/SHA?OW'", false},
	{"fd.name iglob '/*/SHA?OW'", true},
	{"fd.name glob '/etc/@(passwd|shadow)'", true},
	{"fd.name glob '/etc/[!p]*'", true},
	{"fd.name glob /etc", false},
	{"fd.name regex '/etc/s[a-z]+'", true},
	{"fd.name regex '/etc/s'", false},
	{"fd.name pmatch (/usr, /etc)", true},
	{"fd.name pmatch (/et, /etc/shadow/x)", false},
	{"fd.name pmatch (/)", true},
	{"fd.name icontains ETC", true},
	{"fd.name bcontains 657463", true},
	{"fd.name bstartswith 2f65", true},
	{"fd.name bstartswith 65", false},
	{"fd.num = 3 and fd.num >= 3 and fd.num < 4 and fd.num in (2, 3)", true},
	{"fd.num != 3", false},
	{"fd.type = file and fd.typechar = 'f'", true},
	{"evt.is_open_read = true and evt.is_open_write = false", true},
	{"evt.arg.flags = O_RDONLY|O_CLOEXEC", true},
	{"evt.arg.flags contains O_CLOEXEC", true},
	{"evt.rawarg.flags = 0x1001 and evt.rawarg.flags != 0x80000", true},
	{"evt.res = SUCCESS and evt.rawres = 3 and evt.failed = false", true},
	{"fd.ino = 99 and fd.dev.major = 8 and fd.dev.minor = 1 and fd.dev = 0x801", true},
	{"proc.name = cat and proc.exe = cat and proc.exepath = /bin/cat", true},
	{"proc.cmdline = 'cat -n a b /etc/shadow' and proc.args = '-n a b /etc/shadow' and proc.cmdnargs = 3", true},
	{"proc.pname = bash and proc.aname[0] = cat and proc.aname[1] = bash and proc.aname[2] = sshd", true},
	{"proc.aname = sshd", true},
	{"proc.aname = cat", false},
	{"proc.aname in (x, init)", true},
	{"proc.aname != sshd", true},
	{"not proc.aname in (x, y)", true},
	{"proc.aname startswith in", true},
	{"proc.aname[4] = x", false},
	{"proc.aname[4] != x", false},
	{"not proc.aname[4] = x", true},
	{"proc.aname[4] exists", false},
	{"proc.aname[3] exists", true},
	{"proc.apid[2] = 10 and proc.ppid = 11 and proc.apid = 1", true},
	{"proc.acmdline contains -D and proc.pcmdline = bash and proc.acmdline[2] = 'sshd -D'", true},
	{"proc.env[HOME] = /root and proc.env contains 'X=1' and proc.aenv[X] = 1", true},
	{"proc.env[NONE] = '' and proc.aenv[NONE] != x", true},
	{"getopt(proc.args, ':n:')[n] = 'a b'", true},
	{"getopt(proc.args, 'n')[x] exists", false},
	{"getopt(proc.args, 'x') intersects ('?')", true},
	{"proc.name contains oneof (c, a)", false},
	{"proc.name contains oneof (c, x)", true},
	{"proc.name != allof (x, y) and not proc.name != allof (cat, y)", true},
	{"proc.loginshellid = 11 and proc.exeline = 'cat -n a b /etc/shadow'", true},
	{"fd.types in (nothing)", true},
	{"proc.sname = bash", true},
	{"proc.duration > 5000000000", true},
	{"proc.tty = 34819", true},
	{"user.uid = 0 and user.name = '<NA>' and user.loginuid = 1000", true},
	{"thread.cap_effective contains CAP_SYS_ADMIN and thread.cap_effective icontains chown", true},
	{"thread.cap_effective contains CAP_SYS_MODULE", false},
	{"container.id = host", true},
	{"container.id != host", false},
	{"container.image.repository = x", false},
	{"container.image.repository != x", false},
	{"not container.image.repository in (x)", true},
	{"fd.sip = 1.2.3.4", false},
	{"fd.sip != 1.2.3.4", false},
	{"not fd.snet in (10.0.0.0/8)", true},
	{"k8s.ns.name exists", false},
	{"toupper(proc.name) = CAT and len(proc.name) = 3 and basename(proc.exepath) = val(proc.name)", true},
	{"concat(proc.name, -, proc.pname) = cat-bash and join(/, (proc.name, proc.pname)) = cat/bash", true},
	{"getopt(proc.args, n:) intersects (n)", true},
	{"proc.pname = val(proc.name)", false},
	{"fs.path.name = /etc/shadow and fs.path.nameraw = ../shadow", true},
	{"evt.num > 0 and evt.type = openat and evt.dir = < and evt.category = file", true},
	{"evt.arg.name = /etc/shadow or evt.arg[2] = /etc/x/../shadow or evt.arg.name exists", true},
	{"fd.types intersects (nothing)", false},
}

// TestConditions evaluates conditions for one event: cat, below bash and sshd, opens
// ../shadow from /etc/x for reading.
func TestConditions(t *testing.T) {
	for _, c := range conditions {
		rules := fmt.Sprintf("- rule: r\n  desc: d\n  condition: >\n    evt.type = openat and proc.pid > 0 and (%s)\n  output: '%%fd.name %%fd.ino %%evt.rawarg.flags'\n  priority: INFO\n", c.condition)
		e, out := machine(t, rules, Text)
		if len(e.watched) == 0 {
			if c.want {
				t.Errorf("%s: no event is watched", c.condition)
			}
			continue
		}
		e.Value(openat(e, "../shadow", "/etc/x", 0x80000, 3))
		if got := out.Len() > 0; got != c.want {
			t.Errorf("%s: %t, want %t", c.condition, got, c.want)
		}
	}
}

// TestFailed evaluates a call that fails: it has a name and no descriptor.
func TestFailed(t *testing.T) {
	e, out := machine(t, `
- rule: r
  desc: d
  condition: evt.type = openat and fd.num = -1 and fd.typechar = f and evt.res startswith E and fd.name = /etc/gone and not fd.filename exists
  output: "%evt.res %fd.num %fd.filename %evt.args"
  priority: INFO
`, Text)
	e.Value(openat(e, "/etc/./gone", "", 0, -2))
	_, text, _ := strings.Cut(out.String(), " ")
	if want := "Informational ENOENT -1 <NA> fd=-2(ENOENT) dirfd=7 name=/etc/./gone(/etc/gone) flags=1(O_RDONLY) mode=0644 dev=800001 ino=99\n"; text != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

// TestOrder checks that the first rule that matches decides, and the form of an alert in
// JSON.
func TestOrder(t *testing.T) {
	e, out := machine(t, `
- rule: one
  desc: d
  condition: evt.type = openat and fd.name = /a
  output: one
  priority: INFO
- rule: two
  desc: d
  condition: evt.type = openat and fd.name startswith /a
  output: "a \"%fd.name\" %proc.tty %container.image %proc.aname[2]"
  priority: CRITICAL
  tags: [x, y]
- rule: three
  desc: d
  condition: evt.type = openat
  output: three
  priority: INFO
`, JSON)
	e.Value(openat(e, "/a\nb", "", 0, 3))
	var got struct {
		Rule, Priority, Source, Hostname, Output, Time string
		Tags                                           []string
		Fields                                         map[string]any `json:"output_fields"`
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := schema.Alerts([]byte(out.String())); err != nil {
		t.Error(err)
	}
	_, text, _ := strings.Cut(got.Output, " ")
	if got.Rule != "two" || got.Priority != "Critical" || got.Source != "syscall" || got.Hostname != "here" || len(got.Tags) != 2 ||
		text != `Critical a "/ab" 34819 <NA> sshd` || got.Fields["fd.name"] != "/a\nb" || got.Fields["container.image"] != nil || got.Fields["proc.tty"] != 34819.0 ||
		got.Fields["container.id"] != "host" {
		t.Errorf("got %+v", got)
	}
}

// TestFields checks that every field of the table has a value or is marked as never
// having one.
func TestFields(t *testing.T) {
	for name, f := range falco.Fields.Get() {
		if (fields.Get()[name] == nil) != f.Never {
			t.Errorf("%s: has a value: %t, never has one: %t", name, fields.Get()[name] != nil, f.Never)
		}
	}
	for name := range fields.Get() {
		if falco.Fields.Get()[name] == nil {
			t.Errorf("%s is not in the table of fields", name)
		}
	}
	for _, e := range falco.Events.Get() {
		for _, p := range e.Params {
			if (p.Kind == falco.Flags || p.Kind == falco.Enum) && p.Src != "" && falco.Names.Get()[p.Table] == nil {
				t.Errorf("%s: the parameter %s has no names", e.Name, p.Name)
			}
		}
	}
}

// TestLost checks the messages about events that were lost.
func TestLost(t *testing.T) {
	e, _ := machine(t, "- rule: one\n  desc: d\n  condition: evt.type = setuid\n  output: o\n  priority: INFO\n", Text)
	var out strings.Builder
	e.err = &out
	script := e.program.Script()
	e.Lost(1)
	e.LostAt(source.Span{File: script, Start: 0}, 2)
	e.LostAt(source.Span{File: script, Start: strings.Index(script.Text, "sys_exit_setuid")}, 3)
	want := `WARNING: 1 event was lost: alerts of all rules may be missing
WARNING: 2 events about processes were lost: names and command lines may be out of date
WARNING: 3 events of setuid were lost: alerts of these rules may be missing: "one"
`
	if out.String() != want {
		t.Errorf("got %s", out.String())
	}
}

// TestDecimals compares numbers with fractions.
func TestDecimals(t *testing.T) {
	d := decimal(12.5)
	for _, c := range []struct {
		op, text string
		want     bool
	}{
		{">", "12", true}, {">", "12.4", true}, {">", "12.5", false}, {">=", "12.5", true}, {"<", "12.51", true}, {"<", "0x10", true},
		{"=", "12.5", true}, {"=", "12", false}, {"!=", "12", true}, {"in", "12.50", true}, {"<=", "-1", false},
	} {
		if got := tester(c.op, "", falco.Decimal, []string{c.text})(d); got != c.want {
			t.Errorf("12.5 %s %s: %v", c.op, c.text, got)
		}
	}
	if got := d.String() + " " + string(d.appendJSON(nil)); got != "12.5 12.5" {
		t.Errorf("shown as %s", got)
	}
}

// TestShown checks how numbers of parameters and descriptors are shown.
func TestShown(t *testing.T) {
	m, _ := machine(t, "- rule: one\n  desc: d\n  condition: evt.type = setuid\n  output: o\n  priority: INFO\n", Text)
	e := &Event{engine: m, proc: &procs.Process{Owner: new(string)}, what: &falco.Watched{Event: &falco.Event{Name: "openat"}}}
	for _, c := range []struct {
		kind       falco.Kind
		table      string
		n          int64
		raw, shown string
	}{
		{falco.Hex, "", 0xabc, "ABC", ""}, {falco.Hex, "", -1, "FFFFFFFFFFFFFFFF", ""},
		{falco.Oct, "", 0o644, "0644", ""}, {falco.Oct, "", 0, "0", ""},
		{falco.Flags, "open", 0o2000000, "4097", "O_RDONLY|O_CLOEXEC"}, {falco.Dec, "", -5, "-5", ""},
		{falco.Mode, "", 0o100600, "0600", "S_IWUSR|S_IRUSR"}, {falco.UID, "", -1, "-1", "<NONE>"}, {falco.GID, "", 1<<31 - 7, "2147483641", "<NA>"},
	} {
		p := falco.Param{Kind: c.kind, Table: c.table}
		raw, shown := e.shown(&p, c.n)
		if raw.String() != c.raw || shown.kind != missing && shown.String() != c.shown || shown.kind == missing && c.shown != "" {
			t.Errorf("kind %d, %d: %s and %s, want %s and %s", c.kind, c.n, raw.String(), shown.String(), c.raw, c.shown)
		}
	}
	if got := dotted([]string{"a b", "", "\xffc\n"}); got != "a b...c.." || dotted(nil) != "" {
		t.Errorf("words are shown as %q", got)
	}
	for want, d := range map[string]descriptor{
		"<f>/etc/a": {char: "f", name: "/etc/a", isFile: true}, "<4t>1.2.3.4:5->1.2.3.4:6": {char: "4", name: "1.2.3.4:5->1.2.3.4:6", isSock: true, proto: "tcp"},
		"<6u>::1:5->::1:6": {char: "6", name: "::1:5->::1:6", isSock: true, proto: "udp"}, "<u>a->b /x": {char: "u", name: "a->b /x", isSock: true},
	} {
		if got := d.tagged(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
