package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
)

const policyUsage = `gotrace policy - runs policies of other systems

USAGE:
    gotrace policy [options] FILE.yaml ...

Each FILE is a policy file, a directory of them, or - for standard input. The kind of
policy is recognised from its content: tracing policies of Tetragon, rules of Falco,
network policies of Cilium. Policies observe; those that kill, override, deny or drop
do so only with --unsafe.

    --print                print the script that the policies become, and run nothing
    --skip-unsupported     leave out rules that cannot be translated
    -f FORMAT              text, json, or the format of the policies' own system

For rules of Falco:

    -t, --tag TAG          run only rules with that tag; may be given several times
    -T, --no-tag TAG       leave out rules with that tag
    -D, --disable NAME     leave out rules of that name: a part of it, or a pattern with * and ?
        --enable NAME      run rules of that name, even those that are not enabled; these
                           four options take effect in their order
        --min-priority P   leave out rules that are less urgent than P
        --rule-matching all|first
                           for an event, alert of all rules that match or only of the first
        --append-output TEXT
                           what alerts end with: 'id=%container.id name=%container.name'

For policies of Tetragon and Cilium:

    --may-lock-out POLICY  with --unsafe, let a policy kill any process, make what any needs
                           fail, or deny traffic to the whole machine

For network policies of Cilium, with -f json as Hubble prints flows:

    --endpoint 'LABELS: PLACE'  an endpoint with these labels: app=web,tier=front. PLACE is
                           the directory of a cgroup, unit=, container=, comm=, exe= or
                           user= with a name, host, or a prefix of another machine
    --entity NAME=PREFIX   addresses of an entity: kube-apiserver=10.0.0.1
    --service NAME=PREFIX  addresses of a service: default/db=10.0.0.2
    --cluster-cidr PREFIX  addresses of the cluster, which are not part of the world
`

// policyOptions are the options that only gotrace policy has.
type policyOptions struct {
	print, skip bool
	// only is set if the script does not run, because it is printed or only loaded.
	only bool

	// For network policies.
	endpoints, entities, services, clusterCIDRs []string

	lockout []string // names of policies

	falco falco.Selection // for rules of Falco
}

// translation is the result of translating the policies of one system.
type translation interface {
	// Script returns the script into which the policies are translated.
	Script() *source.File
	// Sink returns the sink that shows the script's results in a format, or nil if the
	// system has no such format.
	Sink(format string) makeSink
}

// policySystem is a system with policies that gotrace can run.
type policySystem struct {
	name, kind string // its name, and a word for its policies
	format     string // value of -f that selects its own format, and is the default; "": text
	recognises func(policy.Document) bool
	translate  func([]policy.Document, *policyOptions, *policy.Terms, *source.Diags) translation
}

// policySystems are the systems.
var policySystems = []policySystem{falcoRules, tetragonPolicies, ciliumPolicies}

// policy runs gotrace policy and returns the exit status.
func (a *app) policy(args []string) int {
	own := policyOptions{}
	o, paths, err := parseCommand(args, func(fs *flagSet) {
		fs.BoolVar(&own.print, "print", false, "")
		fs.BoolVar(&own.skip, "skip-unsupported", false, "")
		fs.StringArrayVar(&own.endpoints, "endpoint", nil, "")
		fs.StringArrayVar(&own.entities, "entity", nil, "")
		fs.StringArrayVar(&own.services, "service", nil, "")
		fs.StringArrayVar(&own.clusterCIDRs, "cluster-cidr", nil, "")
		fs.StringArrayVar(&own.lockout, "may-lock-out", nil, "")
		registerFalco(fs, &own.falco)
	})
	if err == nil && o.help {
		io.WriteString(a.stdout, policyUsage)
		return statusOK
	}
	if err == nil && len(paths) == 0 {
		err = usagef("USAGE: gotrace policy needs a policy file")
	}
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	own.only = own.print || o.dryRun
	a.opt = o
	a.report.setup(o)
	script, sink, err := a.translate(paths, &own)
	switch {
	case err != nil:
		if !errors.Is(err, errReported) {
			a.report.errorf("%v", err)
		}
		return statusError
	case own.print:
		return a.printScript(script)
	}
	return a.runScript(script, sink)
}

// translate reads policy files. It returns their translation to a script and the sink that
// shows the script's results.
func (a *app) translate(paths []string, own *policyOptions) (*source.File, makeSink, error) {
	o := a.opt
	var diags source.Diags
	docs := policy.Read(paths, a.stdin, &diags)
	var system *policySystem
	if !diags.HasErrors() {
		system, docs = a.systemOf(docs, &diags)
	}
	if diags.HasErrors() {
		a.report.diags(diags.All())
		return nil, nil, errReported
	}
	if system == nil {
		a.report.diags(diags.All())
		return nil, nil, errors.New("there is no policy to run")
	}
	a.kernel = kernel.LiveBTF(a.btfFile())
	t := system.translate(docs, own, &policy.Terms{Kernel: a.kernel, Self: os.Getpid(), Unsafe: o.unsafe, SkipUnsupported: own.skip, MayLockOut: own.lockout}, &diags)
	a.report.diags(diags.All())
	if diags.HasErrors() || t == nil {
		return nil, nil, errReported
	}
	format := o.format
	if !o.formatGiven && system.format != "" {
		format = system.format
	}
	sink := t.Sink(format)
	if sink == nil {
		return nil, nil, usagef("policies of %s have no output format %q", system.name, format)
	}
	return t.Script(), sink, nil
}

// systemOf returns the system to which the documents belong, and its documents. For other
// resources of Kubernetes in the files, such as Services, it prints a warning.
func (a *app) systemOf(docs []policy.Document, diags *source.Diags) (system *policySystem, policies []policy.Document) {
	var others []policy.Document
	for _, d := range docs {
		i := slices.IndexFunc(policySystems, func(s policySystem) bool { return s.recognises(d) })
		if i < 0 {
			others = append(others, d)
			continue
		}
		s := &policySystems[i]
		if system != nil && system != s {
			diags.Errorf(d.Root.At, "this is a policy of %s, and others are of %s: run them one by one", s.name, system.name)
			return nil, nil
		}
		system = s
		policies = append(policies, d)
	}
	var kinds []string
	for _, s := range policySystems {
		kinds = append(kinds, s.kind)
	}
	for _, d := range others {
		if system != nil && d.KindOf() != "" && d.Root.Has("apiVersion") {
			diags.Warnf(d.Root.Get("kind").At, "a %s is not a policy: it is left out", d.KindOf())
			continue
		}
		diags.ErrorHint(d.Root.At, "there are "+strings.Join(kinds, ", "), "this is not a policy that gotrace knows")
	}
	return system, policies
}
