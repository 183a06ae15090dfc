config(:esbuild, [version: ~s(0.25.0), "quoted": "#{1 + 1}"])
config :dart_sass, :app, version: """
  1.77.8
  """
config :tailwind, version: "4.1.0" <> "", x: 'a', y: ?\", z: "\"
