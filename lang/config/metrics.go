package config

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// The forms of the settings label and metric: items, separated by spaces.
var (
	labelForm  = lazy.Regexp{Expr: `^\s*(@\w*)\[([^\]]*)\]`}
	metricForm = lazy.Regexp{Expr: `^\s*(@\w*)\s*=\s*([A-Za-z_]\w*)(\s+|$)`}
	labelName  = lazy.Regexp{Expr: `^[A-Za-z_]\w*$`}
)

// label returns the variable label. A script may set it several times.
func label() *Var {
	const name = "label"
	return &Var{Name: name, Doc: `The names that the parts of a map's keys have as labels of metrics: "@reads[comm, pid] @time[disk]".`,
		get: func(c *Config) any { return "" },
		set: func(c *Config, v Value) string {
			for rest := v.Text; strings.TrimSpace(rest) != ""; {
				m := labelForm.Get().FindStringSubmatch(rest)
				if m == nil {
					return fmt.Sprintf(`%s: expecting a map and names, such as "@reads[comm, pid]", got %s`, name, strings.TrimSpace(rest))
				}
				var list []string
				for part := range strings.SplitSeq(m[2], ",") {
					part = strings.TrimSpace(part)
					if !labelName.Get().MatchString(part) || strings.HasPrefix(part, "__") {
						return fmt.Sprintf("%s: %q cannot be the name of a label", name, part)
					}
					list = append(list, part)
				}
				c.Labels[m[1]], rest = list, rest[len(m[0]):]
			}
			return ""
		},
	}
}

// metric returns the variable metric. A script may set it several times.
func metric() *Var {
	const name = "metric"
	return &Var{Name: name, Doc: `The names of maps as metrics, or none for a map that is none: "@reads = disk_reads @start = none".`,
		get: func(c *Config) any { return "" },
		set: func(c *Config, v Value) string {
			for rest := v.Text; strings.TrimSpace(rest) != ""; {
				m := metricForm.Get().FindStringSubmatch(rest)
				if m == nil {
					return fmt.Sprintf(`%s: expecting a map and a name, such as "@reads = disk_reads", got %s`, name, strings.TrimSpace(rest))
				}
				c.Metrics[m[1]], rest = m[2], rest[len(m[0]):]
			}
			return ""
		},
	}
}
