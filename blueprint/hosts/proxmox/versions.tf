# What this module needs, and where its state is kept.
terraform {
  # OpenTofu, not HashiCorp's Terraform: the state is encrypted (below), which only
  # OpenTofu can do, and OpenTofu is free software.
  required_version = ">= 1.10.0, < 2.0.0"

  required_providers {
    # https://search.opentofu.org/provider/bpg/proxmox/latest
    # Held below 1.0, which will rename the resources. `tofu init` writes the exact
    # version and its checksums into .terraform.lock.hcl: commit that file.
    proxmox = {
      source  = "bpg/proxmox"
      version = ">= 0.111.1, < 1.0.0"
    }
  }

  # The state is in GitLab, not on this computer: it is locked while somebody works
  # with it, and a lost laptop does not lose the knowledge of which machines are ours.
  # The address stands in backend.hcl (see backend.hcl.example), the password in the
  # environment: TF_HTTP_PASSWORD.
  backend "http" {}

  # The state and saved plans hold the tokens of k3s. They are encrypted before
  # they leave this computer; GitLab, and whoever reads its backups, sees ciphertext.
  # https://opentofu.org/docs/language/state/encryption/
  encryption {
    key_provider "pbkdf2" "passphrase" {
      passphrase = var.state_passphrase
    }

    method "aes_gcm" "passphrase" {
      keys = key_provider.pbkdf2.passphrase
    }

    state {
      method   = method.aes_gcm.passphrase
      enforced = true
    }

    plan {
      method   = method.aes_gcm.passphrase
      enforced = true
    }
  }
}
