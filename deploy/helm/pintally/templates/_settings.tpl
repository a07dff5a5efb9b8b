{{/* A value as one writes it into a variable. Helm reads numbers as floating point, and would write 5e+06. */}}
{{- define "pintally.value" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ toString . | replace "$(" "$$(" }}
{{- end -}}
{{- end }}

{{/* Variables of settings, then those of keys of a Secret. Takes (dict "settings" MAP "secret" MAP). */}}
{{- define "pintally.env" -}}
{{- range $name, $value := .settings }}
{{- if not (kindIs "invalid" $value) }}
- name: PINTALLY_{{ upper $name }}
  value: {{ include "pintally.value" $value | quote }}
{{- end }}
{{- end }}
{{- $secret := .secret }}
{{- range $name, $key := $secret.keys }}
{{- if $key }}
- name: PINTALLY_{{ upper $name }}
  valueFrom:
    secretKeyRef:
      name: {{ required "secret keys are given, but no existingSecret that has them" $secret.existingSecret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end }}
