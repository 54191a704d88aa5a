// Package rules holds the architecture as tests: which package may import which, and that each says what it is for.
package rules

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A rule forbids imports. Patterns are import paths without the module's name; a trailing /... covers what is below,
// the path itself included. Paths outside the module are written in full.
type rule struct {
	from   string
	never  []string
	except []string
	why    string
}

// components are the loops. They meet only at the API server.
var components = []string{"pkg/scheduler/...", "pkg/controller/...", "pkg/kubelet/...", "pkg/proxy/...", "pkg/dns/...", "pkg/ingress/..."}

func theRules() []rule {
	rs := []rule{
		{from: "...", never: []string{"k8s.io/kubernetes/...", "k8s.io/apiserver/pkg/server/...", "k8s.io/apiserver/pkg/registry/...", "k8s.io/apiserver/pkg/endpoints/..."},
			why: "those are what this project is"},
		{from: "pkg/store/...", never: []string{"pkg/...", "k8s.io/api/..."}, except: []string{"pkg/store/..."},
			why: "the store knows keys, revisions and bytes, and no kinds"},
		{from: "pkg/resource/...", never: []string{"pkg/...", "net/http", "os", "k8s.io/client-go/kubernetes", "go.etcd.io/..."}, except: []string{"pkg/resource/...", "pkg/version"},
			why: "a row is pure: no I/O, and nothing of who stores or serves it"},
		{from: "pkg/quota/...", never: []string{"pkg/...", "net/http", "os", "k8s.io/client-go/..."}, except: []string{"pkg/quota/..."},
			why: "what is used is computed from objects alone: the API server and a controller ask it, and know nothing of each other"},
		{from: "pkg/reconcile/...", never: []string{"pkg/...", "k8s.io/api/apps/..."}, except: []string{"pkg/reconcile/..."},
			why: "the kit names no kind and no component"},
		{from: "pkg/pki/...", never: []string{"pkg/..."}, except: []string{"pkg/pki/..."},
			why: "certificates are made from names, not from the cluster's parts"},
		{from: "pkg/apiserver/...", never: append([]string{"pkg/cluster/...", "pkg/cli/...", "pkg/machine/...", "pkg/reconcile/..."}, components...),
			why: "the API server runs nothing; it is what the others run against"},
		{from: "pkg/machine/...", never: append([]string{"pkg/cluster/...", "pkg/cli/...", "pkg/store/...", "pkg/apiserver/..."}, components...),
			why: "the host's parts know nothing of the cluster on top of them"},
		{from: "pkg/cluster/...", never: []string{"pkg/cli/..."}, why: "imports run one way: cli, cluster, components"},
		{from: "pkg/bench/...", never: append([]string{"pkg/cli/...", "pkg/store/...", "pkg/apiserver/...", "pkg/resource/..."}, components...),
			why: "what is measured runs in its own process, reached as any client reaches it"},
		{from: "pkg/cli/component/...", never: []string{"pkg/cluster/...", "pkg/machine/...", "k8s.io/kubectl/..."}, except: []string{"pkg/cluster/parts/..."},
			why: "a component on its own does not carry the rest of the house"},
		{from: "...", never: []string{"pkg/golden/..."}, why: "it is for tests, which these rules do not look at"},
		{from: "pkg/golden/...", never: []string{"pkg/..."}, why: "the tests of every package may use it"},
	}
	for _, c := range components {
		rs = append(rs, rule{from: c, except: []string{c},
			never: append([]string{"pkg/store/...", "pkg/apiserver/...", "pkg/machine/...", "pkg/cluster/...", "pkg/cli/...", "go.etcd.io/..."}, components...),
			why:   "components meet only at the API server: each knows a client and informers, nothing else"})
	}
	return rs
}

// sourcePackage is the imports of one directory's files, tests left out.
type sourcePackage struct {
	imports map[string]string // path → the file that has it
	comment bool
}

// module reads every package of the repository by its source alone, so that the test needs no build.
func module(t *testing.T) map[string]*sourcePackage {
	t.Helper()
	root := "../.."
	pkgs := map[string]*sourcePackage{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); file != root && (strings.HasPrefix(n, ".") || n == "testdata" || n == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, filepath.Dir(file))
		p := pkgs[rel]
		if p == nil {
			p = &sourcePackage{imports: map[string]string{}}
			pkgs[rel] = p
		}
		p.comment = p.comment || f.Doc != nil
		for _, i := range f.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			p.imports[strings.TrimPrefix(name, "bonsai/")] = file
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

func matches(pattern, name string) bool {
	if base, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(name+"/", base)
	}
	return pattern == name
}

func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if matches(p, name) {
			return true
		}
	}
	return false
}

func TestImportsRunOneWay(t *testing.T) {
	pkgs := module(t)
	for _, r := range theRules() {
		for name, p := range pkgs {
			if !matches(r.from, name) {
				continue
			}
			for imp, file := range p.imports {
				if matchesAny(r.never, imp) && !matchesAny(r.except, imp) {
					t.Errorf("%s imports %s: %s", file, imp, r.why)
				}
			}
		}
	}
}

// TestControllersAreAlone: one controller does not import another; only the list of them imports them all.
func TestControllersAreAlone(t *testing.T) {
	const base = "pkg/controller/"
	for name, p := range module(t) {
		if !strings.HasPrefix(name, base) {
			continue
		}
		for imp, file := range p.imports {
			if strings.HasPrefix(imp, base) && !strings.HasPrefix(imp+"/", name+"/") {
				t.Errorf("%s imports %s: controllers stand alone, so that each can be read alone", file, imp)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for name, p := range module(t) {
		if !p.comment {
			t.Errorf("%s has no package comment; say in it the problem, the flow and the guarantees", name)
		}
	}
}

// TestRulesNameRealPackages keeps the table above from rotting: a rule about a package that is gone protects nothing.
func TestRulesNameRealPackages(t *testing.T) {
	pkgs := module(t)
	later := []string{"pkg/dns/...", "pkg/ingress/..."}
	for _, r := range theRules() {
		if r.from == "..." || matchesAny(later, strings.TrimSuffix(r.from, "/...")) {
			continue
		}
		found := false
		for name := range pkgs {
			found = found || matches(r.from, name)
		}
		if !found {
			t.Errorf("rule about %s: no such package", path.Clean(r.from))
		}
	}
}
