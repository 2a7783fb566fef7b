package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
)

// setting is a row of the table of settings: its name, and how to set it from
// text. Numbers, booleans and words all come as text.
type setting struct {
	name string
	set  func(c *config.Config, v string) error
}

func intSetting(name string, lo, hi int, field func(c *config.Config) *int) setting {
	return setting{name, func(c *config.Config, v string) error {
		n, err := strconv.ParseInt(v, 0, 64)
		if err != nil {
			return fmt.Errorf("expecting a number, not '%s'", v)
		}
		if n < int64(lo) || n > int64(hi) {
			return fmt.Errorf("must be between %d and %d, not %s", lo, hi, v)
		}
		*field(c) = int(n)
		return nil
	}}
}

func boolSetting(name string, field func(c *config.Config) *bool) setting {
	return setting{name, func(c *config.Config, v string) error {
		switch strings.ToLower(v) {
		case "1", "true":
			*field(c) = true
		case "0", "false":
			*field(c) = false
		default:
			return fmt.Errorf("expecting true or false, not '%s'", v)
		}
		return nil
	}}
}

func wordSetting(name string, field func(c *config.Config) *string, words ...string) setting {
	return setting{name, func(c *config.Config, v string) error {
		for _, w := range words {
			if strings.EqualFold(w, v) {
				*field(c) = w
				return nil
			}
		}
		if len(words) == 0 {
			*field(c) = v
			return nil
		}
		return fmt.Errorf("expecting one of %s, not '%s'", strings.Join(words, ", "), v)
	}}
}

func unstable(name string) setting {
	return setting{"unstable_" + name, func(c *config.Config, v string) error {
		switch v = strings.ToLower(v); v {
		case "enable", "1", "true":
			c.Unstable[name] = "enable"
		case "error", "warn":
			c.Unstable[name] = v
		case "0", "false":
			c.Unstable[name] = "error"
		default:
			return fmt.Errorf("expecting one of enable, warn, error, not '%s'", v)
		}
		return nil
	}}
}

func ignored(name string) setting {
	return setting{name, func(*config.Config, string) error { return nil }}
}

func settings() []setting {
	type c = config.Config
	return []setting{
		wordSetting("cache_user_symbols", func(c *c) *string { return &c.CacheUserSymbols }, "PER_PID", "PER_PROGRAM", "NONE"),
		boolSetting("cpp_demangle", func(c *c) *bool { return &c.CPPDemangle }),
		boolSetting("lazy_symbolication", func(c *c) *bool { return &c.LazySymbolication }),
		wordSetting("license", func(c *c) *string { return &c.License },
			"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"),
		intSetting("log_size", 1<<10, 1<<30, func(c *c) *int { return &c.LogSize }),
		intSetting("max_bpf_progs", 1, 1<<20, func(c *c) *int { return &c.MaxBPFProgs }),
		intSetting("max_cat_bytes", 1, 1<<30, func(c *c) *int { return &c.MaxCatBytes }),
		intSetting("max_map_keys", 1, 1<<30, func(c *c) *int { return &c.MaxMapKeys }),
		intSetting("max_probes", 1, 1<<20, func(c *c) *int { return &c.MaxProbes }),
		intSetting("max_strlen", 1, 64<<10, func(c *c) *int { return &c.MaxStrlen }),
		intSetting("on_stack_limit", 0, 512, func(c *c) *int { return &c.OnStackLimit }),
		intSetting("perf_rb_pages", 0, 1<<20, func(c *c) *int { return &c.PerfRBPages }),
		wordSetting("stack_mode", func(c *c) *string { return &c.StackMode }, "bpftrace", "perf", "raw", "build_id"),
		wordSetting("str_trunc_trailer", func(c *c) *string { return &c.StrTruncTrailer }),
		wordSetting("missing_probes", func(c *c) *string { return &c.MissingProbes }, "error", "warn", "ignore"),
		boolSetting("print_maps_on_exit", func(c *c) *bool { return &c.PrintMapsOnExit }),
		boolSetting("use_blazesym", func(c *c) *bool { return &c.UseBlazesym }),
		boolSetting("show_debug_info", func(c *c) *bool { return &c.ShowDebugInfo }),
		unstable("tseries"), unstable("dw_ustack"), unstable("typeinfo"), unstable("import_statement"),
		ignored("symbol_source"), ignored("max_type_res_iterations"), ignored("unstable_addr"),
		ignored("unstable_import"), ignored("unstable_macro"), ignored("unstable_map_decl"),
	}
}

// renamed are settings that had another name once.
var renamed = map[string]string{
	"strlen": "max_strlen", "cat_bytes_max": "max_cat_bytes", "map_keys_max": "max_map_keys", "no_cpp_demangle": "cpp_demangle",
}

// elsewhere are environment variables with our prefix that are no settings.
var elsewhere = map[string]bool{
	"BTF": true, "KERNEL_SOURCE": true, "KERNEL_BUILD": true, "VMLINUX": true, "COLOR": true,
}

func defaults() *config.Config {
	return &config.Config{
		CPPDemangle: true, LazySymbolication: true, License: "GPL", LogSize: 1000000, MaxBPFProgs: 1024,
		MaxCatBytes: 10240, MaxMapKeys: 4096, MaxProbes: 1024, MaxStrlen: 1024, OnStackLimit: 32,
		StackMode: "bpftrace", StrTruncTrailer: "..", MissingProbes: "error", PrintMapsOnExit: true,
		UseBlazesym: true, ShowDebugInfo: true,
		Unstable: map[string]string{"tseries": "warn", "dw_ustack": "warn", "typeinfo": "error", "import_statement": "error"},
	}
}

// readConfig takes the settings of the script's config block, then those of the
// environment, which win.
func readConfig(p *ast.Program, diags *source.Diags) *config.Config {
	c := defaults()
	byName := map[string]setting{}
	var names []string
	for _, s := range settings() {
		byName[s.name] = s
		names = append(names, s.name)
	}
	if p.Config != nil {
		for _, item := range p.Config.Items {
			name := strings.TrimPrefix(strings.ToLower(item.Key.Text), "bpftrace_")
			s, ok := byName[name]
			switch {
			case !ok && renamed[name] != "":
				diags.Errorf(item.Key.Span(), "%s is now called %s", name, renamed[name])
				continue
			case !ok:
				hint := ""
				if near := source.Nearest(name, names); near != "" {
					hint = "did you mean '" + near + "'?"
				}
				diags.ErrorHint(item.Span(), hint, "%s: not a known configuration option", item.Key.Text)
				continue
			}
			if err := s.set(c, configText(item.Value)); err != nil {
				diags.Errorf(item.Value.Span(), "Invalid value for %s: %v", name, err)
			}
		}
	}
	for _, kv := range os.Environ() {
		rest, ok := strings.CutPrefix(kv, "BPFTRACE_")
		if !ok {
			continue
		}
		key, val, _ := strings.Cut(rest, "=")
		s, ok := byName[strings.ToLower(key)]
		if !ok {
			if elsewhere[key] {
				continue
			}
			diags.Warnf(source.Span{}, "The environment variable BPFTRACE_%s is not a setting", key)
			continue
		}
		if err := s.set(c, val); err != nil {
			diags.Errorf(source.Span{}, "Invalid value for BPFTRACE_%s: %v", key, err)
		}
	}
	return c
}

func configText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StrLit:
		return e.Value
	case *ast.Ident:
		return e.Name
	}
	return strings.TrimSpace(e.Span().Text())
}
