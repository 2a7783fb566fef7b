package tetragon

import (
	"fmt"
	"slices"
	"strings"
)

// leave returns the statements that run when the function returns.
func (h *hook) leave() string {
	m := fmt.Sprintf("@tg_call%d", h.id)
	b := &body{depth: 1}
	b.open("if (has_key(%s, tid))", m)
	b.line("let $e = %s[tid];", m)
	b.line("delete(%s, tid);", m)
	b.line("let $s = $e.0;")
	if h.ret != nil {
		word := h.ret.word
		if c := h.ret.t.c; c != "" {
			word = "(" + c + ")" + word
		} else {
			word = "(uint64)" + word
		}
		b.line("let $r = %s;", word)
	}
	at := 5 + h.saved()
	if h.resultsDecide() {
		b.line("let $m = $e.%d;", at)
		b.line("$s = 0;")
		at++
		for i, s := range h.selectors {
			b.open("if ($s == 0 && %s)", strings.Join(append([]string{fmt.Sprintf("($m & %d) != 0", 1<<i)}, s.result...), " && "))
			b.line("$s = %d;", i+1)
			b.close()
		}
	}
	for i, s := range h.selectors {
		inner := &body{depth: b.depth + 1}
		for _, a := range s.later {
			h.do(inner, a)
		}
		b.selected(i, inner)
	}
	values := []string{"$s", "$e"}
	for i, a := range slices.Concat(h.args, h.data) {
		if !a.late {
			continue
		}
		b.line("let $l%d = $e.%d;", i, at)
		b.line("let $n%d = $e.%d;", i, at+1)
		at += 2
		size := fmt.Sprintf("$n%d", i)
		if h.ret != nil && a.size == "4096" {
			size = "($r > 0 ? (uint64)$r : (uint64)0)"
		}
		value := a.t.value
		if value == "" {
			value = "$"
		}
		v := fmt.Sprintf("$l%d", i)
		for _, f := range a.t.fields {
			values = append(values, fill(f, v, fill(value, v, "", size), size))
		}
	}
	if h.ret != nil {
		values = append(values, h.fields(h.ret)...)
	}
	b.open("if ($s != 0)")
	switch h.retAction {
	case "TrackSock":
		b.line("@tg_sock[(uint64)$r] = ($e.2, $e.3, $e.4);")
	case "UntrackSock":
		b.line("delete(@tg_sock, (uint64)$r);")
	}
	var silent []string
	for i, s := range h.selectors {
		if s.silent() {
			silent = append(silent, fmt.Sprintf("$s != %d", i+1))
		}
	}
	if len(silent) > 0 {
		b.open("if (%s)", strings.Join(silent, " && "))
	}
	b.line("report(%d, %s);", h.id, strings.Join(values, ", "))
	for b.depth > 1 {
		b.close()
	}
	return b.String()
}

// saved returns the number of values in the record after the process and before those that
// are read when the function returns.
func (h *hook) saved() int {
	n := 0
	if h.many {
		n++
	}
	if h.event.KernelStack {
		n++
	}
	if h.event.UserStack {
		n++
	}
	for _, a := range slices.Concat(h.args, h.data) {
		if !a.late {
			n += len(a.t.fields)
		}
	}
	return n
}
