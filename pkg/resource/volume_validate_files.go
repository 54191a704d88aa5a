package resource

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The volumes whose files the kubelet writes: their paths must stay inside the volume, and none be written twice.

func fileMode(mode *int32, path *place) field.ErrorList {
	return given(mode, path, func(m *int32, path *place) field.ErrorList {
		return when(*m < 0 || *m > 0o777, invalidAt(path, *m, "must be a number between 0 and 0777 (octal), both inclusive"))
	})
}

func noBacksteps(p string, at *place) field.ErrorList {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return field.ErrorList{invalidAt(at, p, "must not contain '..'")}
		}
	}
	return nil
}

// descendingPath wants a path that leads down from where it starts.
func descendingPath(p string, at *place) field.ErrorList {
	return join(when(path.IsAbs(p), invalidAt(at, p, "must be a relative path")), noBacksteps(p, at))
}

// filePath wants one that does not begin with "..": such names are the kubelet's, for its atomic writes.
func filePath(p string, at *place) field.ErrorList {
	reserved := strings.HasPrefix(p, "..") && !strings.HasPrefix(p, "../")
	return join(descendingPath(p, at), when(reserved, invalidAt(at, p, "must not start with '..'")))
}

func keyToPath(k *corev1.KeyToPath, at *place) field.ErrorList {
	return join(
		present(k.Key, at.Child("key")),
		present(k.Path, at.Child("path")),
		filePath(k.Path, at.Child("path")),
		fileMode(k.Mode, at.Child("mode")),
	)
}

func secretVolume(s *corev1.SecretVolumeSource, at *place) field.ErrorList {
	return join(
		present(s.SecretName, at.Child("secretName")),
		fileMode(s.DefaultMode, at.Child("defaultMode")),
		each(s.Items, at.Child("items"), keyToPath),
	)
}

func configMapVolume(c *corev1.ConfigMapVolumeSource, at *place) field.ErrorList {
	return join(
		present(c.Name, at.Child("name")),
		fileMode(c.DefaultMode, at.Child("defaultMode")),
		each(c.Items, at.Child("items"), keyToPath),
	)
}

func downwardVolume(d *corev1.DownwardAPIVolumeSource, at *place) field.ErrorList {
	errs := fileMode(d.DefaultMode, at.Child("defaultMode"))
	for i := range d.Items {
		errs = append(errs, downwardFile(&d.Items[i], at)...)
	}
	return errs
}

func downwardFile(f *corev1.DownwardAPIVolumeFile, at *place) field.ErrorList {
	errs := join(present(f.Path, at.Child("path")), filePath(f.Path, at.Child("path")))
	switch {
	case f.FieldRef != nil:
		errs = append(errs, fieldRef(f.FieldRef, volumeFieldPaths, at.Child("fieldRef"))...)
		errs = append(errs, when(f.ResourceFieldRef != nil, invalidAt(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))...)
	case f.ResourceFieldRef != nil:
		errs = append(errs, resourceFieldRef(f.ResourceFieldRef, true, at.Child("resourceFieldRef"))...)
	default:
		errs = append(errs, requiredAt(at, "one of fieldRef and resourceFieldRef is required"))
	}
	return append(errs, fileMode(f.Mode, at.Child("mode"))...)
}

func projectedVolume(p *corev1.ProjectedVolumeSource, at *place) field.ErrorList {
	errs := fileMode(p.DefaultMode, at.Child("defaultMode"))
	paths := projectedPaths{at: at, seen: taken{}}
	for i := range p.Sources {
		errs = append(errs, paths.source(&p.Sources[i], at.Child("sources").Index(i))...)
	}
	return errs
}

// projectedPaths finds files that two sources of one volume would write.
type projectedPaths struct {
	at   *place
	seen taken
}

// add notes a file; value is what the message shows, which is not always the path.
func (p *projectedPaths) add(file, value string) field.ErrorList {
	if file == "" {
		return nil
	}
	return when(!p.seen.claim(file), invalidAt(p.at, value, "conflicting duplicate paths"))
}

func (p *projectedPaths) source(s *corev1.VolumeProjection, at *place) field.ErrorList {
	all := choices{path: at}
	choose(&all, s.Secret, "secret", func(s *corev1.SecretProjection, at *place) field.ErrorList {
		return p.keys(s.Name, s.Items, at)
	})
	choose(&all, s.ConfigMap, "configMap", func(c *corev1.ConfigMapProjection, at *place) field.ErrorList {
		return p.keys(c.Name, c.Items, at)
	})
	choose(&all, s.DownwardAPI, "downwardAPI", p.downward)
	choose(&all, s.ServiceAccountToken, "serviceAccountToken", p.token)
	choose(&all, s.ClusterTrustBundle, "clusterTrustBundle", p.trustBundle)
	choose(&all, s.PodCertificate, "podCertificate", p.certificate)
	return append(all.errs, when(all.count > 1, forbiddenAt(at, "may not specify more than 1 volume type per source"))...)
}

func (p *projectedPaths) keys(name string, items []corev1.KeyToPath, at *place) field.ErrorList {
	errs := present(name, at.Child("name"))
	for i := range items {
		errs = append(errs, keyToPath(&items[i], at.Child("items").Index(i))...)
		errs = append(errs, p.add(items[i].Path, name)...)
	}
	return errs
}

func (p *projectedPaths) downward(d *corev1.DownwardAPIProjection, at *place) field.ErrorList {
	var errs field.ErrorList
	for i := range d.Items {
		errs = append(errs, downwardFile(&d.Items[i], at)...)
		errs = append(errs, p.add(d.Items[i].Path, d.Items[i].Path)...)
	}
	return errs
}

func (p *projectedPaths) token(t *corev1.ServiceAccountTokenProjection, at *place) field.ErrorList {
	errs := tokenExpiration(t.ExpirationSeconds, at.Child("expirationSeconds"))
	if t.Path == "" {
		return append(errs, requiredAt(p.at.Child("path"), ""))
	}
	return append(errs, filePath(t.Path, p.at.Child("path"))...)
}

// tokenExpiration is for how long a service account's token may be good.
func tokenExpiration(seconds *int64, path *place) field.ErrorList {
	return given(seconds, path, func(s *int64, path *place) field.ErrorList {
		return join(
			when(*s < 10*60, invalidAt(path, *s, "may not specify a duration less than 10 minutes")),
			when(*s > 1<<32, invalidAt(path, *s, "may not specify a duration larger than 2^32 seconds")),
		)
	})
}

func (p *projectedPaths) trustBundle(b *corev1.ClusterTrustBundleProjection, at *place) field.ErrorList {
	var errs field.ErrorList
	switch {
	case b.Name != nil && b.SignerName != nil:
		errs = field.ErrorList{invalidGoAt(at, b, "only one of name and signerName may be used")}
	case b.Name != nil:
		errs = join(
			when(*b.Name == "", requiredAt(at.Child("name"), "must be a valid object name")),
			bundleName(*b.Name, at.Child("name")),
			when(b.LabelSelector != nil, invalidAt(at.Child("labelSelector"), b.LabelSelector, "labelSelector must be unset if name is specified")),
		)
	case b.SignerName != nil:
		errs = join(
			when(*b.SignerName == "", requiredAt(at.Child("signerName"), "must be a valid signer name")),
			signerName(*b.SignerName, at.Child("signerName")),
			metavalidation.ValidateLabelSelector(b.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, at.Child("labelSelector").path()),
		)
	default:
		errs = field.ErrorList{requiredAt(at, "either name or signerName must be specified")}
	}
	return join(errs, present(b.Path, at.Child("path")), filePath(b.Path, at.Child("path")), p.add(b.Path, b.Path))
}

// bundleName wants SIGNER:DOMAIN:NAME for a bundle with a signer, and a subdomain for one without.
func bundleName(name string, at *place) field.ErrorList {
	last := name[strings.LastIndex(name, ":")+1:]
	var errs field.ErrorList
	for _, m := range subdomainName(last, false) {
		errs = append(errs, invalidAt(at, name, fmt.Sprintf("not a valid clustertrustbundlename: %v", m)))
	}
	return errs
}

// userAnnotations are what a pod tells the signer of its certificate, each under somebody's domain.
func userAnnotations(annotations map[string]string, at *place) field.ErrorList {
	var errs field.ErrorList
	for k := range sorted(annotations) {
		errs = append(errs, validation.IsDomainPrefixedKey(at.path(), strings.ToLower(k))...)
	}
	return append(errs, when(apivalidation.ValidateAnnotationsSize(annotations) != nil,
		tooLongAt(at, "", apivalidation.TotalAnnotationSizeLimitB))...)
}

func (p *projectedPaths) certificate(c *corev1.PodCertificateProjection, at *place) field.ErrorList {
	errs := join(signerName(c.SignerName, at.Child("signerName")), userAnnotations(c.UserAnnotations, at.Child("userAnnotations")), oneOf(c.KeyType, at.Child("keyType"),
		"RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"))
	if s := c.MaxExpirationSeconds; s != nil {
		errs = append(errs, when(*s < 3600, invalidAt(at.Child("maxExpirationSeconds"), *s, "if provided, maxExpirationSeconds must be >= 3600"))...)
		most := int32(91 * 24 * 3600)
		if strings.HasPrefix(c.SignerName, "kubernetes.io/") {
			most = 24 * 3600
		}
		errs = append(errs, when(*s > most, invalidAt(at.Child("maxExpirationSeconds"), *s, fmt.Sprintf("if provided, maxExpirationSeconds must be <= %d", most)))...)
	}
	files := []struct{ name, path string }{
		{"credentialBundlePath", c.CredentialBundlePath}, {"keyPath", c.KeyPath}, {"certificateChainPath", c.CertificateChainPath},
	}
	none := true
	for _, f := range files {
		if f.path != "" {
			none = false
			errs = join(errs, filePath(f.path, at.Child(f.name)), p.add(f.path, f.path))
		}
	}
	return append(errs, when(none, requiredAt(at, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"))...)
}
