package flows

import "strings"

// Refused is a flag of hubble observe that has no meaning here, and why.
type Refused struct {
	Name, Why string
	Bool      bool // it takes no value
}

const (
	noCluster  = "there is no cluster: gotrace sees the machine that it runs on"
	noPods     = "pods are known by their containers: --container NAMESPACE/POD/NAME or POD/NAME"
	noIdentity = "security identities, labels, services and workloads are Cilium's; --container, --unit and --comm select by owner"
	noPast     = "gotrace keeps no flows of the past: it shows those that come after its start"
	noServer   = "gotrace reads from the kernel, not from a server"
	noWire     = "the kernel does not tell it here"
)

// RefusedFlags returns the flags that the command refuses, with the reasons.
func RefusedFlags() []Refused {
	var list []Refused
	for _, group := range []struct {
		why   string
		bools bool
		names string
	}{
		{noCluster, false, "cluster from-cluster to-cluster node-name node-label"},
		{noPods, false, "pod from-pod to-pod namespace from-namespace to-namespace"},
		{noPods, true, "all-namespaces from-all-namespaces to-all-namespaces"},
		{noIdentity, false, "identity from-identity to-identity label from-label to-label service from-service to-service workload from-workload to-workload"},
		{noPast, false, "since until"},
		{noPast, true, "all"},
		{noServer, false, "server port-forward-port input-file timeout request-timeout basic-auth-username basic-auth-password tls-ca-cert-files tls-client-cert-file tls-client-key-file tls-server-name config"},
		{noServer, true, "tls tls-allow-insecure port-forward print-raw-filters"},
		{"filters are flags, which become a script: --print shows it", false, "allowlist denylist cel-expression"},
		{"the script decides which fields there are", false, "field-mask experimental-field-mask"},
		{"one machine has one name, which is in node_name of -o json", true, "print-node-name print-policy-names"},
		{"addresses are shown as they are in the packet: no load balancer of Cilium translates them", false, "snat-ip"},
		{noWire, false, "trace-id ip-trace-id uuid"},
		{noWire, true, "encrypted unencrypted"},
		{"only the first bytes of a request are read: gotrace requests has headers", false, "http-header"},
		{"colours are not used", false, "color"},
	} {
		for _, name := range strings.Fields(group.names) {
			list = append(list, Refused{name, group.why, group.bools})
		}
	}
	return list
}
