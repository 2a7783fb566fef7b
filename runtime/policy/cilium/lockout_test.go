package cilium

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy/cilium"
	"github.com/gotrace/gotrace/lang/source"
)

// TestCheckLockout refuses decisions about the machine, and about the program by which others
// log in, unless the policy is named.
func TestCheckLockout(t *testing.T) {
	labels := func(comm string) cilium.Labels {
		l := cilium.Labels{}
		l.Add("gotrace", "comm", comm)
		return l
	}
	for _, c := range []struct {
		name     string
		endpoint cilium.Endpoint
		denies   bool
		want     string
	}{
		{"host", cilium.Endpoint{Host: true}, true, "the whole machine"},
		{"sshd", cilium.Endpoint{Dir: "/no/such/a", Labels: labels("sshd")}, true, "traffic to sshd"},
		{"a session of sshd", cilium.Endpoint{Dir: "/no/such/a", Labels: labels("sshd-session")}, true, "traffic to sshd"},
		{"sshd, nothing denied", cilium.Endpoint{Dir: "/no/such/a", Labels: labels("sshd")}, false, ""},
		{"another", cilium.Endpoint{Dir: "/no/such/b", Labels: labels("nginx")}, true, ""},
	} {
		for _, names := range [][]string{nil, {"p"}} {
			var diags source.Diags
			d := &cilium.Decision{Endpoint: &c.endpoint, Default: c.denies, Specs: []*cilium.Spec{{Policy: "p"}}}
			CheckLockout([]*cilium.Decision{d}, names, &diags)
			got := ""
			for _, d := range diags.All() {
				got += d.Msg
			}
			if want := c.want; names == nil && (want == "") != (got == "") || names == nil && !strings.Contains(got, want) || names != nil && got != "" {
				t.Errorf("%s, named %v: %q, want %q", c.name, names, got, want)
			}
		}
	}
}
