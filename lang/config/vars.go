package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Var describes one setting.
type Var struct {
	Name string // in lower case, as in a script's config block
	Doc  string // one sentence with the unit and the allowed values
	// If Dead is set, the variable is accepted and ignored. Renamed is the new
	// name of a variable that has been renamed.
	Dead    bool
	Renamed string

	// set stores a value. If the value is invalid, it returns an error message, and
	// otherwise "".
	set func(c *Config, v Value) string
	get func(c *Config) any
}

// Value is a value for a variable: a number, a boolean, or a word or quoted string.
type Value struct {
	Text   string // also set for a number
	Int    uint64
	IsInt  bool
	Bool   bool
	IsBool bool
}

// TextValue parses a value from the environment.
func TextValue(text string) Value {
	v := Value{Text: text}
	if n, err := strconv.ParseUint(text, 0, 64); err == nil {
		v.Int, v.IsInt = n, true
	}
	switch text {
	case "true":
		v.Bool, v.IsBool = true, true
	case "false":
		v.IsBool = true
	}
	return v
}

// number returns v as a number. A boolean is 0 or 1, and the number may be quoted.
func (v Value) number() (n uint64, ok bool) {
	switch {
	case v.IsInt:
		return v.Int, true
	case v.IsBool:
		if v.Bool {
			return 1, true
		}
		return 0, true
	}
	n, err := strconv.ParseUint(v.Text, 0, 64)
	return n, err == nil
}

// truth returns v as a boolean, which may be quoted. Every number but 0 is true.
func (v Value) truth() (truth, ok bool) {
	switch {
	case v.IsBool:
		return v.Bool, true
	case v.IsInt:
		return v.Int != 0, true
	}
	switch strings.ToLower(v.Text) {
	case "true", "1", "yes", "on":
		return true, true
	case "false", "0", "no", "off":
		return false, true
	}
	return false, false
}

// number returns a variable whose values are numbers from least to most.
//
//go:noinline
func number(name, doc string, field func(*Config) *int, least, most uint64) *Var {
	return &Var{Name: name, Doc: doc,
		get: func(c *Config) any { return *field(c) },
		set: func(c *Config, v Value) string {
			n, ok := v.number()
			if !ok {
				return fmt.Sprintf("%s: expecting a number, got %s", name, v.Text)
			}
			if n < least || n > most {
				return fmt.Sprintf("%s: %d is out of range, it can be from %d to %d", name, n, least, most)
			}
			*field(c) = int(n)
			return ""
		},
	}
}

// boolean returns a variable whose values are true and false (or 1 and 0).
//
//go:noinline
func boolean(name, doc string, field func(*Config) *bool) *Var {
	return &Var{Name: name, Doc: doc,
		get: func(c *Config) any { return *field(c) },
		set: func(c *Config, v Value) string {
			truth, ok := v.truth()
			if !ok {
				return fmt.Sprintf("%s: Invalid bool value: valid values are true, false, 1 or 0.", name)
			}
			*field(c) = truth
			return ""
		},
	}
}

// choice returns a variable whose values are the given words.
//
//go:noinline
func choice(name, doc string, field func(*Config) *string, words ...string) *Var {
	return &Var{Name: name, Doc: doc,
		get: func(c *Config) any { return *field(c) },
		set: func(c *Config, v Value) string {
			for _, w := range words {
				if v.Text == w {
					*field(c) = w
					return ""
				}
			}
			return fmt.Sprintf("%s: Invalid value for %s: valid values are %s, and %s.", name, name,
				strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
		},
	}
}

// anyCase makes v accept its words in upper and lower case.
func anyCase(v *Var, toCase func(string) string) *Var {
	set := v.set
	v.set = func(c *Config, given Value) string {
		given.Text = toCase(given.Text)
		return set(c, given)
	}
	return v
}

// caching returns the variable cache_user_symbols. It also accepts the variable's old
// values, which are booleans.
func caching(words ...string) *Var {
	v := anyCase(choice("cache_user_symbols", "How user symbols are cached: PER_PID, PER_PROGRAM or NONE. By default per program with -c or if addresses are not randomized, else per process.",
		func(c *Config) *string { return &c.CacheUserSymbols }, words...), strings.ToUpper)
	set := v.set
	v.set = func(c *Config, given Value) string {
		if n, ok := given.number(); ok {
			given.Text = "NONE"
			if n != 0 {
				given.Text = "PER_PROGRAM"
			}
		}
		return set(c, given)
	}
	return v
}

// unstable returns the variable that allows or forbids a feature that may
// change.
//
//go:noinline
func unstable(feature string) *Var {
	name := "unstable_" + feature
	words := []string{"enable", "warn", "error"}
	return &Var{Name: name, Doc: "Whether the unstable feature " + feature + " can be used: enable, warn or error.",
		get: func(c *Config) any { return c.Unstable[feature] },
		set: func(c *Config, v Value) string {
			word := strings.ToLower(v.Text)
			if truth, ok := v.truth(); ok {
				word = "error"
				if truth {
					word = "enable"
				}
			}
			if !slices.Contains(words, word) {
				return fmt.Sprintf("%s: Invalid value for unstable config: valid values are %s, and %s.", name,
					strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
			}
			c.Unstable[feature] = word
			return ""
		},
	}
}

func dead(name string) *Var { return &Var{Name: name, Dead: true} }

//go:noinline
func renamed(old, name string) *Var { return &Var{Name: old, Renamed: name} }

// onStackLimit returns the variable on_stack_limit. All values above the size of a
// program's stack have the same effect.
func onStackLimit() *Var {
	v := number("on_stack_limit", "The maximum size in bytes of an object on a program's stack, which has 512 bytes.",
		func(c *Config) *int { return &c.OnStackLimit }, 0, maxCount)
	set := v.set
	v.set = func(c *Config, given Value) string {
		defer func() { c.OnStackLimit = min(c.OnStackLimit, 512) }()
		return set(c, given)
	}
	return v
}

// Maximum values of limits. Whether there is enough memory is checked when it is
// allocated.
const (
	maxCount  = 1 << 30
	maxStrlen = 1 << 16
)

// licenses lists the licenses under which the kernel offers all helpers.
var licenses = []string{"Dual MIT/GPL", "Dual BSD/GPL", "Dual MPL/GPL", "GPL and additional rights", "GPL v2", "GPL"}

func license(doc string) *Var {
	return &Var{Name: "license", Doc: doc,
		get: func(c *Config) any { return c.License },
		set: func(c *Config, v Value) string {
			if !slices.Contains(licenses, v.Text) {
				return fmt.Sprintf("Invalid value for license. Found: %s. Valid values: %s.", v.Text, strings.Join(licenses, ", "))
			}
			c.License = v.Text
			return ""
		},
	}
}

// Vars returns the variables in alphabetical order, old names last.
func Vars() []*Var {
	return []*Var{
		caching("PER_PID", "PER_PROGRAM", "NONE"),
		boolean("cpp_demangle", "Whether C++ names in user stacks are demangled.", func(c *Config) *bool { return &c.CPPDemangle }),
		boolean("lazy_symbolication", "Whether user addresses are symbolized only when they are printed.", func(c *Config) *bool { return &c.LazySymbolication }),
		label(),
		license("The license of the programs, which must be GPL-compatible for the kernel."),
		number("log_size", "The size in bytes of the verifier's log for a refused program.", func(c *Config) *int { return &c.LogSize }, 0, maxCount),
		number("max_bpf_progs", "The maximum number of BPF programs for one block of a script.", func(c *Config) *int { return &c.MaxBPFProgs }, 1, maxCount),
		number("max_cat_bytes", "The maximum number of bytes that cat() prints of a file.", func(c *Config) *int { return &c.MaxCatBytes }, 0, maxCount),
		number("max_map_keys", "The maximum number of keys of a map.", func(c *Config) *int { return &c.MaxMapKeys }, 1, maxCount),
		number("max_probes", "The maximum number of attach points of a script. Points that share a link, as those of kprobe and uprobe patterns do where the kernel can, count once.", func(c *Config) *int { return &c.MaxProbes }, 1, maxCount),
		number("max_series", "The maximum number of time series of one map that --prometheus and --otlp export.", func(c *Config) *int { return &c.MaxSeries }, 1, maxCount),
		number("max_strlen", "The maximum size in bytes of a string that str(), buf() and path() read, including the NUL.", func(c *Config) *int { return &c.MaxStrlen }, 1, maxStrlen),
		metric(),
		anyCase(choice("missing_probes", "How an attach point that matches nothing is reported: error, warn or ignore.",
			func(c *Config) *string { return &c.MissingProbes }, "ignore", "warn", "error"), strings.ToLower),
		onStackLimit(),
		number("perf_rb_pages", "The size of the ring buffer for events in pages; 0: it depends on the machine's memory.", func(c *Config) *int { return &c.PerfRBPages }, 0, 1<<20),
		boolean("print_maps_on_exit", "Whether maps are printed at the end.", func(c *Config) *bool { return &c.PrintMapsOnExit }),
		boolean("show_debug_info", "Whether user stacks show source files and lines.", func(c *Config) *bool { return &c.ShowDebugInfo }),
		choice("stack_mode", "How stacks are printed: bpftrace, raw, perf or build_id.",
			func(c *Config) *string { return &c.StackMode }, "bpftrace", "raw", "perf", "build_id"),
		{Name: "str_trunc_trailer", Doc: "The text that follows a string truncated to max_strlen.",
			get: func(c *Config) any { return c.StrTruncTrailer },
			set: func(c *Config, v Value) string { c.StrTruncTrailer = v.Text; return "" }},
		unstable("dw_ustack"), unstable("import_statement"), unstable("tseries"), unstable("typeinfo"),
		boolean("use_blazesym", "Accepted for scripts that set it; symbols are always resolved by gotrace itself.", func(c *Config) *bool { return &c.UseBlazesym }),
		choice("user_stack", "How ustack finds callers: fp (frame pointers), dwarf (unwind tables) or auto (tables if the code has any, else frame pointers).",
			func(c *Config) *string { return &c.UserStack }, UserStacks...),

		renamed("cat_bytes_max", "max_cat_bytes"), renamed("map_keys_max", "max_map_keys"),
		renamed("no_cpp_demangle", "cpp_demangle"), renamed("strlen", "max_strlen"),
		dead("max_type_res_iterations"), dead("symbol_source"), dead("unstable_addr"),
		dead("unstable_import"), dead("unstable_macro"), dead("unstable_map_decl"),
	}
}

// Default returns the default configuration.
func Default() *Config {
	return &Config{
		CPPDemangle: true, LazySymbolication: true, License: "GPL", LogSize: 1000000,
		MaxBPFProgs: 1024, MaxCatBytes: 10240, MaxMapKeys: 4096, MaxProbes: 1024, MaxSeries: 2000, MaxStrlen: 1024,
		OnStackLimit: 512, StackMode: "bpftrace", StrTruncTrailer: "..", MissingProbes: "error",
		Labels: map[string][]string{}, Metrics: map[string]string{}, PrintMapsOnExit: true, UseBlazesym: true, UserStack: StackFP,
		Unstable: map[string]string{"tseries": "warn", "dw_ustack": "warn", "typeinfo": "error", "import_statement": "error"},
	}
}

// prefix starts the names of variables in the environment. Scripts may use it too.
const prefix = "BPFTRACE_"

// Problem describes an invalid setting: an error or, if Warning is set, a
// warning.
type Problem struct {
	Msg, Hint string
	Warning   bool
}

// environment lists the settings that can only be set in the environment.
var environment = []string{"btf", "color", "kernel_build", "kernel_source", "vmlinux"}

// Set sets a variable. name may be in upper case and have the prefix.
func (c *Config) Set(name string, v Value) *Problem {
	bare := strings.TrimPrefix(strings.ToLower(name), strings.ToLower(prefix))
	vars := Vars()
	i := slices.IndexFunc(vars, func(v *Var) bool { return v.Name == bare })
	if i < 0 && slices.Contains(environment, bare) {
		return &Problem{Msg: bare + ": can only be set as an environment variable"}
	}
	if i < 0 {
		var names []string
		for _, v := range vars {
			if !v.Dead && v.Renamed == "" {
				names = append(names, v.Name)
			}
		}
		hint := ""
		if near := source.Nearest(bare, names); near != "" {
			hint = "did you mean '" + near + "'?"
		}
		return &Problem{Msg: name + ": not a known configuration option", Hint: hint}
	}
	switch it := vars[i]; {
	case it.Dead:
		return &Problem{Msg: bare + " is deprecated and has no effect", Warning: true}
	case it.Renamed != "":
		if bare == "no_cpp_demangle" {
			if truth, ok := v.truth(); ok {
				v = Value{Text: v.Text, IsBool: true, Bool: !truth}
			}
		}
		if p := c.Set(it.Renamed, v); p != nil {
			return p
		}
		return &Problem{Msg: bare + " has been renamed, please use " + it.Renamed, Warning: true}
	default:
		if wrong := it.set(c, v); wrong != "" {
			return &Problem{Msg: wrong}
		}
	}
	return nil
}

// FromEnv applies the settings of the environment. It ignores variables that
// have the prefix but are not settings.
func (c *Config) FromEnv(getenv func(string) (string, bool)) []Problem {
	var problems []Problem
	for _, v := range Vars() {
		text, ok := getenv(prefix + strings.ToUpper(v.Name))
		if !ok {
			continue
		}
		if p := c.Set(v.Name, TextValue(text)); p != nil {
			p.Msg = prefix + strings.ToUpper(v.Name) + ": " + strings.TrimPrefix(p.Msg, v.Name+": ")
			problems = append(problems, *p)
		}
	}
	return problems
}

// Get returns the value of a variable as an int, a bool or a string, or nil if
// there is no such variable.
func (c *Config) Get(name string) any {
	for _, v := range Vars() {
		if v.Name == name && v.get != nil {
			return v.get(c)
		}
	}
	return nil
}
