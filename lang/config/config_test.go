package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestSet(t *testing.T) {
	tests := []struct {
		name, value string
		want        any    // what Get returns afterwards
		problem     string // its message, if there is one
	}{
		{"max_strlen", "64", 64, ""},
		{"MAX_STRLEN", "64", 64, ""},
		{"BPFTRACE_MAX_STRLEN", "64", 64, ""},
		{"max_strlen", "abc", 1024, "max_strlen: expecting a number, got abc"},
		{"max_strlen", "-1", 1024, "max_strlen: expecting a number, got -1"},
		{"max_strlen", "65537", 1024, "max_strlen: 65537 is out of range, it can be from 1 to 65536"},
		{"max_map_keys", "0", 4096, "max_map_keys: 0 is out of range, it can be from 1 to 1073741824"},
		{"print_maps_on_exit", "false", false, ""},
		{"print_maps_on_exit", "0", false, ""},
		{"print_maps_on_exit", "2", true, ""},
		{"print_maps_on_exit", "perhaps", true, "print_maps_on_exit: Invalid bool value: valid values are true, false, 1 or 0."},
		{"missing_probes", "warn", "warn", ""},
		{"missing_probes", "loud", "error", "missing_probes: Invalid value for missing_probes: valid values are ignore, warn, and error."},
		{"stack_mode", "perf", "perf", ""},
		{"license", "Dual MIT/GPL", "Dual MIT/GPL", ""},
		{"license", "MIT", "GPL", "Invalid value for license. Found: MIT. Valid values: Dual MIT/GPL, Dual BSD/GPL, Dual MPL/GPL, GPL and additional rights, GPL v2, GPL."},
		{"str_trunc_trailer", "5", "5", ""},
		{"unstable_typeinfo", "enable", "enable", ""},
		{"unstable_typeinfo", "true", "enable", ""},
		{"unstable_typeinfo", "perhaps", "error", "unstable_typeinfo: Invalid value for unstable config: valid values are enable, warn, and error."},
	}
	for _, tt := range tests {
		c := Default()
		msg := ""
		if p := c.Set(tt.name, TextValue(tt.value)); p != nil {
			msg = p.Msg
		}
		if msg != tt.problem {
			t.Errorf("%s=%s: %q, want %q", tt.name, tt.value, msg, tt.problem)
		}
		name := strings.TrimPrefix(strings.ToLower(tt.name), "bpftrace_")
		if got := c.Get(name); got != tt.want {
			t.Errorf("%s=%s: it is %v, want %v", tt.name, tt.value, got, tt.want)
		}
	}
}

// TestForms sets variables of each kind to the values that a script can write, bare and
// quoted.
func TestForms(t *testing.T) {
	word := func(s string) Value { return Value{Text: s} }
	integer := func(s string) Value { return TextValue(s) }
	yes, no := Value{Text: "true", IsBool: true, Bool: true}, Value{Text: "false", IsBool: true}
	const invalid = "invalid"
	for _, tt := range []struct {
		value                    Value
		number, boolean, feature any
		symbols, probes          any
	}{
		{word("64"), 64, invalid, invalid, "PER_PROGRAM", invalid},
		{word("0x40"), 64, invalid, invalid, "PER_PROGRAM", invalid},
		{word("0"), 0, false, "error", "NONE", invalid},
		{word("1"), 1, true, "enable", "PER_PROGRAM", invalid},
		{word("true"), invalid, true, "enable", invalid, invalid},
		{word("False"), invalid, false, "error", invalid, invalid},
		{word("YES"), invalid, true, "enable", invalid, invalid},
		{word("no"), invalid, false, "error", invalid, invalid},
		{word("on"), invalid, true, "enable", invalid, invalid},
		{word("Off"), invalid, false, "error", invalid, invalid},
		{word("Warn"), invalid, invalid, "warn", invalid, "warn"},
		{word("ERROR"), invalid, invalid, "error", invalid, "error"},
		{word("per_pid"), invalid, invalid, invalid, "PER_PID", invalid},
		{word("64abc"), invalid, invalid, invalid, invalid, invalid},
		{word(""), invalid, invalid, invalid, invalid, invalid},
		{integer("0"), 0, false, "error", "NONE", invalid},
		{integer("2"), 2, true, "enable", "PER_PROGRAM", invalid},
		{yes, 1, true, "enable", "PER_PROGRAM", invalid},
		{no, 0, false, "error", "NONE", invalid},
	} {
		for name, want := range map[string]any{
			"max_cat_bytes": tt.number, "show_debug_info": tt.boolean, "unstable_tseries": tt.feature,
			"cache_user_symbols": tt.symbols, "missing_probes": tt.probes,
		} {
			c := Default()
			p := c.Set(name, tt.value)
			switch got := c.Get(name); {
			case want == invalid && p == nil:
				t.Errorf("%s = %+v: accepted as %v", name, tt.value, got)
			case want != invalid && (p != nil || got != want):
				t.Errorf("%s = %+v: %v (%+v), want %v", name, tt.value, got, p, want)
			}
		}
	}
}

func TestUnknownAndOld(t *testing.T) {
	tests := []struct {
		name    string
		msg     string
		hint    string
		warning bool
	}{
		{"max_strlne", "max_strlne: not a known configuration option", "did you mean 'max_strlen'?", false},
		{"foo", "foo: not a known configuration option", "", false},
		{"symbol_source", "symbol_source is deprecated and has no effect", "", true},
		{"strlen", "strlen has been renamed, please use max_strlen", "", true},
		{"BPFTRACE_BTF", "btf: can only be set as an environment variable", "", false},
	}
	for _, tt := range tests {
		p := Default().Set(tt.name, TextValue("5"))
		if p == nil || p.Msg != tt.msg || p.Hint != tt.hint || p.Warning != tt.warning {
			t.Errorf("%s: %+v, want %+v", tt.name, p, tt)
		}
	}
	c := Default()
	c.Set("no_cpp_demangle", TextValue("1"))
	if c.CPPDemangle {
		t.Error("no_cpp_demangle=1 left names demangled")
	}
	c.Set("strlen", TextValue("77"))
	if c.MaxStrlen != 77 {
		t.Errorf("strlen=77 made max_strlen %d", c.MaxStrlen)
	}
}

func TestCacheUserSymbols(t *testing.T) {
	for text, want := range map[string]string{"per_pid": "PER_PID", "PER_PROGRAM": "PER_PROGRAM", "1": "PER_PROGRAM", "0": "NONE"} {
		c := Default()
		if p := c.Set("cache_user_symbols", TextValue(text)); p != nil || c.CacheUserSymbols != want {
			t.Errorf("%s: %+v, %s; want %s", text, p, c.CacheUserSymbols, want)
		}
	}
}

func TestFromEnv(t *testing.T) {
	env := map[string]string{"BPFTRACE_MAX_STRLEN": "100", "BPFTRACE_MISSING_PROBES": "loud", "BPFTRACE_NOTHING": "1", "MAX_PROBES": "1"}
	c := Default()
	problems := c.FromEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if c.MaxStrlen != 100 || c.MaxProbes != 1024 {
		t.Errorf("max_strlen is %d, max_probes %d", c.MaxStrlen, c.MaxProbes)
	}
	want := "BPFTRACE_MISSING_PROBES: Invalid value for missing_probes: valid values are ignore, warn, and error."
	if len(problems) != 1 || problems[0].Msg != want {
		t.Errorf("problems: %+v, want one: %s", problems, want)
	}
}

// TestTable checks that each variable has a sentence of help and accepts its
// default.
func TestTable(t *testing.T) {
	for _, v := range Vars() {
		if v.Dead || v.Renamed != "" {
			continue
		}
		if !strings.HasSuffix(v.Doc, ".") {
			t.Errorf("%s: its Doc is not a sentence: %q", v.Name, v.Doc)
		}
		if Default().Get(v.Name) == nil {
			t.Errorf("%s has no default", v.Name)
		}
	}
	if !reflect.DeepEqual(Default(), Default()) {
		t.Error("two defaults differ")
	}
}

// TestLabels checks the names that a script gives maps and the parts of their keys.
func TestLabels(t *testing.T) {
	c := Default()
	for _, s := range []struct{ name, value, problem string }{
		{"label", " @a[x, y] @[z]", ""},
		{"label", "@b[_1]", ""},
		{"label", "", ""},
		{"label", "@a", `label: expecting a map and names, such as "@reads[comm, pid]", got @a`},
		{"label", "@a[]", `label: "" cannot be the name of a label`},
		{"label", "@a[1]", `label: "1" cannot be the name of a label`},
		{"label", "@a[__x]", `label: "__x" cannot be the name of a label`},
		{"label", "@a[é]", `label: "é" cannot be the name of a label`},
		{"metric", "@a=none @b = x_total", ""},
		{"metric", "@a", `metric: expecting a map and a name, such as "@reads = disk_reads", got @a`},
		{"metric", "@a=1x", `metric: expecting a map and a name, such as "@reads = disk_reads", got @a=1x`},
	} {
		msg := ""
		if p := c.Set(s.name, TextValue(s.value)); p != nil {
			msg = p.Msg
		}
		if msg != s.problem {
			t.Errorf("%s = %q: %q, want %q", s.name, s.value, msg, s.problem)
		}
	}
	if want := map[string][]string{"@a": {"x", "y"}, "@": {"z"}, "@b": {"_1"}}; !reflect.DeepEqual(c.Labels, want) {
		t.Errorf("labels %v", c.Labels)
	}
	if want := map[string]string{"@a": NoMetric, "@b": "x_total"}; !reflect.DeepEqual(c.Metrics, want) {
		t.Errorf("metrics %v", c.Metrics)
	}
}
