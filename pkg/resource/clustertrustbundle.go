package resource

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxTrustBundle is the most bytes of certificates in a bundle.
const maxTrustBundle = 1 << 20

// clusterTrustBundles are certificates of authorities that everybody in the cluster may trust.
func clusterTrustBundles() *Row {
	return Row{
		Resource: "clustertrustbundles", Singular: "clustertrustbundle", Kind: "ClusterTrustBundle",
		Versions: []Version{
			servedAs[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList](certificatesv1.SchemeGroupVersion),
		},
		Prefix: "clustertrustbundles",
		Kept:   certificatesv1beta1.SchemeGroupVersion,
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("SignerName", certificatesv1.ClusterTrustBundleSpec{}.SwaggerDoc()["signerName"]),
		},
	}.with(rules(Rules[*certificatesv1.ClusterTrustBundle]{
		Validate: func(b *certificatesv1.ClusterTrustBundle) field.ErrorList {
			return join(trustBundleMeta(b), trustAnchors(b.Spec.TrustBundle, newPlace("spec", "trustBundle")))
		},
		ValidateUpdate: validateTrustBundleUpdate,
		Fields: func(b *certificatesv1.ClusterTrustBundle) map[string]string {
			return map[string]string{"spec.signerName": b.Spec.SignerName}
		},
		Cells: func(b *certificatesv1.ClusterTrustBundle, _ time.Time) []any {
			return []any{b.Name, orNone(b.Spec.SignerName)}
		},
	}))
}

func trustBundleMeta(b *certificatesv1.ClusterTrustBundle) field.ErrorList {
	errs := validateMeta(b, false, trustBundleName(b.Spec.SignerName))
	if s := b.Spec.SignerName; s != "" {
		errs = append(errs, signerName(s, newPlace("spec", "signerName"))...)
	}
	return errs
}

// trustBundleName wants the names of a signer's bundles to begin with the signer's: example.com:signer:name.
func trustBundleName(signer string) apivalidation.ValidateNameFunc {
	return func(name string, prefix bool) []string {
		if signer == "" {
			if strings.Contains(name, ":") {
				return []string{`ClusterTrustBundle without signer name must not have ":" in its name`}
			}
			return subdomainName(name, prefix)
		}
		want := strings.ReplaceAll(signer, "/", ":") + ":"
		rest, ok := strings.CutPrefix(name, want)
		if !ok {
			return []string{fmt.Sprintf("ClusterTrustBundle for signerName %s must be named with prefix %s", signer, want)}
		}
		return subdomainName(rest, prefix)
	}
}

// validateTrustBundleUpdate does not read again what has not changed: later libraries may be stricter.
func validateTrustBundleUpdate(next, old *certificatesv1.ClusterTrustBundle) field.ErrorList {
	errs := trustBundleMeta(next)
	if next.Spec.TrustBundle != old.Spec.TrustBundle {
		errs = append(errs, trustAnchors(next.Spec.TrustBundle, newPlace("spec", "trustBundle"))...)
	}
	return join(errs, validateMetaUpdate(next, old), immutable(next.Spec.SignerName, old.Spec.SignerName, newPlace("spec", "signerName")))
}

// trustAnchors wants at least one certificate of an authority, and none twice.
func trustAnchors(text string, path *place) field.ErrorList {
	if len(text) > maxTrustBundle {
		return field.ErrorList{tooLongAt(path, "", maxTrustBundle)}
	}
	var errs field.ErrorList
	wrong := func(format string, args ...any) {
		errs = append(errs, invalidAt(path, "<value omitted>", fmt.Sprintf(format, args...)))
	}
	entries := map[string][]int{}
	i := 0
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if problem := trustAnchorProblem(block); problem != "" {
			wrong("entry %d %s", i, problem)
		}
		entries[string(block.Bytes)] = append(entries[string(block.Bytes)], i)
		i++
	}
	if len(errs) > 0 {
		return errs
	}
	if len(entries) == 0 {
		wrong("at least one trust anchor must be provided")
	}
	var twins [][]int
	for _, at := range entries {
		if len(at) > 1 {
			twins = append(twins, at)
		}
	}
	slices.SortFunc(twins, slices.Compare)
	for _, at := range twins {
		wrong("duplicate trust anchor (indices %v)", at)
	}
	return errs
}

func trustAnchorProblem(block *pem.Block) string {
	switch {
	case block.Type != "CERTIFICATE":
		return "has bad block type: " + block.Type
	case len(block.Headers) != 0:
		return "has PEM block headers"
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return "does not parse as X.509"
	case !cert.IsCA:
		return "does not have the CA bit set"
	case !cert.BasicConstraintsValid:
		return "has invalid basic constraints"
	}
	return ""
}
