package tetragon

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// action is an action of a selector.
type action struct {
	at           source.Span
	name         string
	errno        int64
	signal       int64
	sock         int // index of an argument
	index, value int64
	url, fqdn    string
	registers    []string // statements that change registers
	rate         uint64   // send at most one event in this many seconds; 0: all
	scope        string
	kernelStack  bool
	userStack    bool
	hash         bool
}

// actionNames are the actions by their names in policies, with their names in JSON.
var actionNames = lazy.Table[map[string]string]{New: func() map[string]string {
	return map[string]string{
		"Post": "POST", "Sigkill": "SIGKILL", "Override": "OVERRIDE", "GetUrl": "GETURL", "DnsLookup": "DNSLOOKUP", "NoPost": "NOPOST",
		"Signal": "SIGNAL", "TrackSock": "TRACKSOCK", "UntrackSock": "UNTRACKSOCK", "NotifyEnforcer": "NOTIFYENFORCER",
		"CleanupEnforcerNotification": "CLEANUPENFORCERNOTIFICATION", "Set": "SET",
	}
}}

// removedActions are actions of older releases, which recorded the paths of open files.
var removedActions = []string{"FollowFD", "UnfollowFD", "CopyFD"}

// decides reports whether an action affects the process, instead of only reporting.
//
//go:noinline
func (a *action) decides() bool {
	switch a.name {
	case "Sigkill", "Override", "Signal", "NotifyEnforcer", "Set", "GetUrl", "DnsLookup":
		return true
	}
	return false
}

// action reads an action.
func (h *hook) action(n *yaml.Node) *action {
	p := h.p
	a := &action{at: n.At}
	integer := func(to *int64) func(*yaml.Node) { return func(n *yaml.Node) { *to = p.integer(n) } }
	boolean := func(to *bool) func(*yaml.Node) { return func(n *yaml.Node) { *to = p.boolean(n) } }
	ok := p.object(n, "an action", fields{
		{"action", func(n *yaml.Node) {
			for name := range actionNames.Get() {
				if strings.EqualFold(name, p.text(n)) {
					a.name = name
				}
			}
			if policy.Among(removedActions, n.Value) {
				p.diags.ErrorHint(n.At, "leave it out: the types fd and file show the paths of files without it",
					"Tetragon no longer has the action '%s'", n.Value)
			} else if a.name == "" {
				p.unknown(n.At, "there is no action", p.text(n), keys(actionNames.Get()))
			}
			a.at = n.At
		}},
		{"argError", integer(&a.errno)},
		{"argSig", func(n *yaml.Node) {
			s, ok := lookup(signals.Get(), "SIG", p.text(n))
			if !ok || s > 64 {
				p.unknown(n.At, "there is no signal", n.Value, prefixed(signals.Get(), "SIG"))
			}
			a.signal = int64(s)
		}},
		{"argSock", func(n *yaml.Node) { a.sock = int(p.integer(n)) }},
		{"argUrl", func(n *yaml.Node) { a.url = p.text(n) }}, {"argFqdn", func(n *yaml.Node) { a.fqdn = p.text(n) }},
		{"argIndex", integer(&a.index)}, {"argValue", integer(&a.value)},
		{"argFd", nil}, {"argName", nil},
		{"argRegs", func(n *yaml.Node) {
			for _, item := range p.items(n) {
				a.registers = append(a.registers, p.assignment(item))
			}
		}},
		{"argNewAddr", p.refuse("other addresses of code")},
		{"argNewOffset", p.refuse("other addresses of code")},
		{"argNewSymbol", p.refuse("other addresses of code")},
		{"rateLimit", func(n *yaml.Node) { a.rate = h.rate(n) }},
		{"rateLimitScope", func(n *yaml.Node) {
			a.scope = p.text(n)
			switch a.scope {
			case "thread", "process", "global":
			default:
				p.unknown(n.At, "there is no scope", a.scope, []string{"thread", "process", "global"})
			}
		}},
		{"kernelStackTrace", boolean(&a.kernelStack)}, {"userStackTrace", boolean(&a.userStack)}, {"imaHash", func(n *yaml.Node) {
			if a.hash = p.boolean(n); a.hash && !p.machine.Measures {
				p.diags.Warnf(n.At, "this kernel shows no hashes of files, so events have none: IMA is off, or securityfs is not mounted (%s is missing)", Measurements)
			}
		}},
	})
	if !ok {
		return nil
	}
	if a.name == "" {
		if !n.Has("action") {
			p.diags.Errorf(n.At, "this is not an action: it has no key 'action'")
		}
		return nil
	}
	switch {
	case a.name == "Signal" && a.signal == 0:
		p.diags.Errorf(a.at, "the action Signal needs argSig")
	case a.name == "GetUrl" && a.url == "":
		p.diags.Errorf(a.at, "the action GetUrl needs argUrl")
	case a.name == "DnsLookup" && a.fqdn == "":
		p.diags.Errorf(a.at, "the action DnsLookup needs argFqdn")
	case a.name == "Set" && h.kind != usdtHook:
		p.diags.Errorf(a.at, "the action Set is for USDT probes")
	}
	if len(a.registers) == 0 && (a.errno < -4095 || a.errno > 4095) {
		p.diags.Errorf(a.at, "argError is the number of an error, such as -1")
	}
	switch {
	case a.name == "Override" && (h.kind == tracepointHook || h.kind == usdtHook):
		p.unsupported(a.at, "the action Override is not supported here: it is for functions, system calls and security hooks")
	case len(a.registers) > 0 && (a.name != "Override" || h.kind != uprobeHook):
		p.diags.Errorf(a.at, "argRegs is for the action Override of uprobes")
	case a.name == "Override" && h.kind == uprobeHook:
		p.overrideUser(a, n)
	}
	return a
}

// rate reads an interval: a number of seconds, minutes or hours.
func (h *hook) rate(n *yaml.Node) uint64 {
	text := h.p.text(n)
	digits, unit := text, uint64(1)
	if text != "" {
		switch text[len(text)-1] {
		case 's':
			digits = text[:len(text)-1]
		case 'm':
			digits, unit = text[:len(text)-1], 60
		case 'h':
			digits, unit = text[:len(text)-1], 3600
		}
	}
	v, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		h.p.diags.Errorf(n.At, "'%s' is not an interval, such as 30, 30s, 5m or 1h", text)
	}
	return v * unit
}
