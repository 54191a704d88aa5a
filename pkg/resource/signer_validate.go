package resource

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A signer's name is DOMAIN/PATH. The path is long enough for NAMESPACE.NAME of some object.
const (
	maxSignerDomain = validation.DNS1123SubdomainMaxLength
	maxSignerPath   = validation.DNS1123LabelMaxLength + 1 + validation.DNS1123SubdomainMaxLength
	maxSignerName   = maxSignerDomain + 1 + maxSignerPath
)

func signerName(name string, at *place) field.ErrorList {
	if name == "" {
		return field.ErrorList{requiredAt(at, "")}
	}
	domain, path, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(path, "/") {
		return field.ErrorList{invalidAt(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	return join(
		when(len(domain) > maxSignerDomain, tooLongAt(at, "", maxSignerDomain)),
		signerLabels(domain, at, func(s string) []string { return labelName(s, false) }),
		when(!strings.Contains(domain, "."), invalidAt(at, domain, "should be a domain with at least two segments separated by dots")),
		signerLabels(path, at, func(s string) []string { return subdomainName(s, false) }),
		when(len(name) > maxSignerName, tooLongAt(at, "", maxSignerName)),
	)
}

// signerLabels says what is wrong with the first bad label: what is wrong with others would read the same.
func signerLabels(segment string, at *place, problems func(string) []string) field.ErrorList {
	for label := range strings.SplitSeq(segment, ".") {
		var errs field.ErrorList
		for _, m := range problems(label) {
			errs = append(errs, invalidAt(at, segment, fmt.Sprintf("validating label %q: %s", label, m)))
		}
		if len(errs) > 0 {
			return errs
		}
	}
	return nil
}

// isKubernetesSigner is whether the project has reserved the signer's name.
func isKubernetesSigner(name string) bool {
	domain, _, _ := strings.Cut(name, "/")
	return domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io")
}
