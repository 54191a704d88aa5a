// Command openapi makes the files in api/: the schemas of every kind, as OpenAPI v2 and v3 definitions, from the
// comments and tags in the sources of k8s.io/api. Run it in the root of the module after a change of version:
//
//	go run ./hack/openapi
//
// It works in two steps, because k8s.io/kube-openapi's generator writes Go: that Go is put into a directory that
// git ignores, and run, and prints the definitions (package emit).
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/gengo/v2"
	"k8s.io/gengo/v2/generator"
	"k8s.io/kube-openapi/cmd/openapi-gen/args"
	"k8s.io/kube-openapi/pkg/generators"
)

// packages are those whose types the API server speaks: every generally available group and version.
var packages = []string{
	"k8s.io/api/admissionregistration/v1",
	"k8s.io/api/apps/v1",
	"k8s.io/api/authentication/v1",
	"k8s.io/api/authorization/v1",
	"k8s.io/api/autoscaling/v1",
	"k8s.io/api/autoscaling/v2",
	"k8s.io/api/batch/v1",
	"k8s.io/api/certificates/v1",
	"k8s.io/api/coordination/v1",
	"k8s.io/api/core/v1",
	"k8s.io/api/discovery/v1",
	"k8s.io/api/events/v1",
	"k8s.io/api/flowcontrol/v1",
	"k8s.io/api/networking/v1",
	"k8s.io/api/node/v1",
	"k8s.io/api/policy/v1",
	"k8s.io/api/rbac/v1",
	"k8s.io/api/resource/v1",
	"k8s.io/api/scheduling/v1",
	"k8s.io/api/scheduling/v1alpha3", // not served, but batch/v1 refers to it
	"k8s.io/api/storage/v1",
	"k8s.io/api/storagemigration/v1",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1",
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1",
	"k8s.io/apimachinery/pkg/api/resource",
	"k8s.io/apimachinery/pkg/apis/meta/v1",
	"k8s.io/apimachinery/pkg/runtime",
	"k8s.io/apimachinery/pkg/util/intstr",
	"k8s.io/apimachinery/pkg/version",
}

// work is where the generated Go goes, out is where the definitions go.
const (
	work = "dist/openapi"
	out  = "api"
)

// program runs what the generator wrote.
const program = `package main

import "bonsai/hack/openapi/emit"

func main() { emit.Main(GetOpenAPIDefinitions) }
`

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatalf("openapi: %v", err)
	}
}

func run() error {
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := generate(); err != nil {
		return fmt.Errorf("read the sources of k8s.io/api: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, "main.go"), []byte(program), 0o644); err != nil {
		return err
	}
	cmd := exec.Command("go", "run", "./"+work, out)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the generated %s: %w", work, err)
	}
	return nil
}

// generate writes the function GetOpenAPIDefinitions, in a package main, to the work directory.
func generate() error {
	a := args.New()
	a.OutputDir = work
	a.OutputPkg = "main"
	a.OutputFile = "definitions.go"
	a.ReportFilename = os.DevNull // upstream's own breaches of upstream's API conventions
	targets := func(c *generator.Context) []generator.Target { return generators.GetOpenAPITargets(c, a, nil) }
	return gengo.Execute(generators.NameSystems(), generators.DefaultNameSystem(), targets, gengo.StdBuildTag, packages)
}
