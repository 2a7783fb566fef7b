package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
)

const (
	aService       = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
	aNetworkPolicy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec:\n  endpointSelector: {matchLabels: {app: web}}\n  egress:\n  - toCIDR: [192.0.2.0/24]\n"
	aTracingPolicy = "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: t}\nspec:\n  tracepoints:\n  - {subsystem: sched, event: sched_process_exit}\n"
	aRule          = "- rule: exec\n  desc: d\n  condition: evt.type = execve\n  output: o\n  priority: INFO\n"
)

// TestPolicyKinds checks that the kind of a policy is recognised from its content, and
// the messages for files that are not policies.
func TestPolicyKinds(t *testing.T) {
	for _, c := range []struct {
		name, text string
		status     int
		want       string // part of the output
	}{
		{"tracing policy", aTracingPolicy, 0, "tracepoint:sched:sched_process_exit"},
		{"network policy", aNetworkPolicy, 0, "the policy p selects nothing on this machine"},
		{"rule", aRule, 0, "execve"},
		{"service and policy", aService + "---\n" + aNetworkPolicy, 0, "2:7-14: WARNING: a Service is not a policy: it is left out"},
		{"list", "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(aService, "\n", "\n  ") + "\n- " + strings.ReplaceAll(aTracingPolicy, "\n", "\n  "), 0, "WARNING: a Service is not a policy: it is left out"},
		{"service", aService, 1, "1:1-2: ERROR: this is not a policy that gotrace knows"},
		{"unknown", "a: 1\n", 1, "this is not a policy that gotrace knows"},
		{"unknown beside a policy", "a: 1\n---\n" + aNetworkPolicy, 1, "1:1-2: ERROR: this is not a policy that gotrace knows"},
		{"two systems", aTracingPolicy + "---\n" + aNetworkPolicy, 1, "this is a policy of Cilium, and others are of Tetragon: run them one by one"},
		{"nothing", "# nothing\n", 1, "there is no policy in this file"},
		{"no YAML", "a: [\n", 1, "this is not YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			out, errs, status := gotrace(t, "policy", "--print", file)
			if status != c.status || !strings.Contains(out+errs, c.want) {
				t.Errorf("status %d, want %d with %q:\n%s%s", status, c.status, c.want, out, errs)
			}
		})
	}
	if _, errs, status := gotrace(t, "policy", "/nowhere.yaml"); status != 1 || !strings.Contains(errs, "cannot read '/nowhere.yaml': no such file or directory") {
		t.Errorf("status %d, %s", status, errs)
	}
	if _, errs, status := gotrace(t, "policy", t.TempDir()); status != 1 || !strings.Contains(errs, "no file below it ends with .yaml, .yml, .json") {
		t.Errorf("status %d, %s", status, errs)
	}
}

// TestPolicyWords checks that hints about the scripts that policies become speak of
// policies, for each system.
func TestPolicyWords(t *testing.T) {
	for i, text := range []string{aRule, aTracingPolicy, aNetworkPolicy} {
		var diags source.Diags
		docs := policy.Documents(source.NewFile("p.yaml", text), &diags)
		s := policySystems[i]
		tr := s.translate(docs, &policyOptions{only: true, falco: falco.EveryRule()}, &policy.Terms{Kernel: kernel.LiveBTF("")}, &diags)
		if diags.HasErrors() || tr == nil {
			t.Errorf("%s: %v", s.name, diags.All())
			continue
		}
		d := source.Diag{Span: source.Span{File: tr.Script()}, Msg: "nothing there", Hint: "if this is expected, set the missing_probes config variable to warn"}
		if got := d.Render(); !strings.Contains(got, "HINT: --skip-unsupported leaves this rule out") {
			t.Errorf("%s: %s", s.name, got)
		}
	}
}
