package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/gotrace/gotrace/runtime/views/flows"
)

// hubbleFlags are the flags of hubble observe, of Cilium 1.19.
const hubbleFlags = `all all-namespaces allowlist basic-auth-password basic-auth-username
cel-expression cluster color config denylist drop-reason-desc encrypted field-mask first follow
fqdn from-all-namespaces from-cluster from-fqdn from-identity from-ip from-label from-namespace
from-pod from-port from-service from-workload http-header http-method http-path http-status
http-url identity input-file interface ip ip-trace-id ip-translation ip-version ipv4 ipv6 label
last namespace node-label node-name not numeric output pod port port-forward port-forward-port
print-node-name print-policy-names print-raw-filters protocol request-timeout server service
since snat-ip tcp-flags time-format timeout tls tls-allow-insecure tls-ca-cert-files
tls-client-cert-file tls-client-key-file tls-server-name to-all-namespaces to-cluster to-fqdn
to-identity to-ip to-label to-namespace to-pod to-port to-service to-workload trace-id
traffic-direction type unencrypted until uuid verdict workload`

// TestHubbleFlags checks that each flag of hubble observe is one of gotrace flows, or is
// refused by its name with a reason.
func TestHubbleFlags(t *testing.T) {
	refused := map[string]string{}
	for _, r := range flows.RefusedFlags() {
		if refused[r.Name] = r.Why; r.Why == "" {
			t.Errorf("--%s is refused without a reason", r.Name)
		}
	}
	all, filters := flowsFlags(&flowsOptions{})
	for name := range strings.FieldsSeq(hubbleFlags) {
		f := all.Lookup(name)
		if f == nil {
			t.Errorf("--%s is not known", name)
			continue
		}
		arg := "--" + name
		if f.NoOptDefVal == "" {
			arg += "=1"
		}
		_, err := parseFlows([]string{"--print", arg})
		switch why, no := refused[name]; {
		case no && (err == nil || err.Error() != "--"+name+": "+why):
			t.Errorf("%s: %v, want the reason %q", arg, err, why)
		case !no && filters.Lookup(name) == nil && f.Usage == "" && !f.Hidden:
			t.Errorf("--%s does nothing", name)
		case !no && err != nil && strings.Contains(err.Error(), "unknown flag"):
			t.Errorf("%s: %v", arg, err)
		}
	}
	// A flag is either refused or does something.
	filters.VisitAll(func(f *pflag.Flag) {
		if refused[f.Name] != "" {
			t.Errorf("--%s is a filter and refused", f.Name)
		}
	})
}
