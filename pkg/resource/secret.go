package resource

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func secrets() *Row {
	doc := corev1.Secret{}.SwaggerDoc()
	return Row{
		Resource: "secrets", Singular: "secret", Kind: "Secret",
		Namespaced: true,
		Versions:   []Version{servedAs[corev1.Secret, corev1.SecretList](corev1.SchemeGroupVersion)},
		Prefix:     "secrets",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Type", doc["type"]), column("Data", doc["data"]), ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*corev1.Secret]{
		Default:        defaultSecret,
		Validate:       validateSecret,
		ValidateUpdate: validateSecretUpdate,
		Fields: func(s *corev1.Secret) map[string]string {
			return map[string]string{"type": string(s.Type)}
		},
		Cells: func(s *corev1.Secret, now time.Time) []any {
			return []any{s.Name, string(s.Type), int64(len(s.Data)), age(s, now)}
		},
	}))
}

// defaultSecret moves stringData, which is only for writing, into data.
func defaultSecret(s *corev1.Secret) {
	or(&s.Type, corev1.SecretTypeOpaque)
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = map[string][]byte{}
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

func validateSecret(s *corev1.Secret) field.ErrorList {
	errs := validateMeta(s, true, subdomainName)
	data := newPlace("data")
	size := 0
	for key, value := range sorted(s.Data) {
		errs = append(errs, dataKey(key, data.Key(key))...)
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, tooLongAt(data, "", corev1.MaxSecretSize))
	}
	return append(errs, validateSecretContent(s, data)...)
}

// validateSecretContent wants the keys that the secret's type promises.
func validateSecretContent(s *corev1.Secret, data *place) field.ErrorList {
	lacks := func(key string) field.ErrorList {
		_, ok := s.Data[key]
		return when(!ok, requiredAt(data.Key(key), ""))
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		// A controller adds the token, but must be told for whom.
		account := newPlace("metadata", "annotations").Key(corev1.ServiceAccountNameKey)
		return present(s.Annotations[corev1.ServiceAccountNameKey], account)
	case corev1.SecretTypeDockercfg:
		return append(lacks(corev1.DockerConfigKey), jsonObject(s, corev1.DockerConfigKey, data)...)
	case corev1.SecretTypeDockerConfigJson:
		return append(lacks(corev1.DockerConfigJsonKey), jsonObject(s, corev1.DockerConfigJsonKey, data)...)
	case corev1.SecretTypeBasicAuth:
		// Either may be left out, but not both.
		noUser, noPassword := lacks(corev1.BasicAuthUsernameKey), lacks(corev1.BasicAuthPasswordKey)
		if noUser != nil && noPassword != nil {
			return append(noUser, noPassword...)
		}
	case corev1.SecretTypeSSHAuth:
		return present(string(s.Data[corev1.SSHAuthPrivateKey]), data.Key(corev1.SSHAuthPrivateKey))
	case corev1.SecretTypeTLS:
		return append(lacks(corev1.TLSCertKey), lacks(corev1.TLSPrivateKeyKey)...)
	}
	return nil
}

// jsonObject wants the value of a key, if there is one, to be a JSON object. It never repeats the value.
func jsonObject(s *corev1.Secret, key string, data *place) field.ErrorList {
	value, ok := s.Data[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(value, &map[string]any{}); err != nil {
		return field.ErrorList{invalidAt(data.Key(key), "<secret contents redacted>", err.Error())}
	}
	return nil
}

func validateSecretUpdate(next, old *corev1.Secret) field.ErrorList {
	errs := validateMetaUpdate(next, old)
	errs = append(errs, immutable(next.Type, old.Type, newPlace("type"))...)
	if isTrue(old.Immutable) {
		if !isTrue(next.Immutable) {
			errs = append(errs, fixedByImmutable("immutable"))
		}
		if !same(next.Data, old.Data) {
			errs = append(errs, fixedByImmutable("data"))
		}
	}
	return append(errs, validateSecret(next)...)
}
