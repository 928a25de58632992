/**
 * What a template sees: `spec`, `p`, `if_p`, `link`, `if_link`, `properties`, `raw_properties`, `name`, `index`.
 * The behaviour is that of cloudfoundry/bosh src/bosh-common/lib/bosh/common/template (evaluation_context.rb,
 * evaluation_link.rb) and, for addresses of links, src/bosh-director/lib/bosh/director/dns/dns_encoder.rb.
 * The class names are BOSH's as well: they appear in Ruby's messages ("undefined method 'x' for an instance of …").
 */
export const preludeContext = String.raw`
class OpenStruct
  private

  def respond_to_missing?(name, *)
    @table&.key?(name.to_s.delete_suffix('=').to_sym) || super
  end
end

module Bosh
  module Common
    module Template
      class EvaluationFailed < StandardError; end

      class UnknownProperty < StandardError
        attr_reader :name

        def initialize(names)
          @name = names
          super("Can't find property '#{names}'")
        end
      end

      class UnknownLink < StandardError
        def initialize(name)
          super("Can't find link '#{name}'")
        end
      end

      # Lookups by dotted path. The including class says where through #property_source.
      # Plain loops: leaving a block early (return, break, find) unwinds the stack, which costs 0.5 ms in WebAssembly.
      module PropertyHelper
        # nil on the way is nil; anything else is indexed as Ruby indexes it (a String by a String, say).
        def lookup_property(collection, name)
          keys = name.split('.')
          node = collection
          node = node[keys.shift] until node.nil? || keys.empty?
          node
        end

        def p(*args)
          names = Array(args.first)
          position = 0
          value = nil
          while value.nil? && position < names.size
            value = lookup_property(property_source, names[position])
            position += 1
          end
          return value unless value.nil?
          args.size == 2 ? args.last : raise(UnknownProperty.new(names))
        end

        def if_p(*names)
          values = []
          while values.size < names.size
            value = lookup_property(property_source, names[values.size])
            return EvaluationContext::ActiveElseBlock.new(self) if value.nil?
            values << value
          end
          yield(*values)
          EvaluationContext::InactiveElseBlock.new
        end
      end

      class EvaluationLinkInstance
        include PropertyHelper
        attr_reader :name, :index, :id, :az, :address, :properties, :bootstrap

        def initialize(fields)
          %w[name index id az address properties bootstrap].each { |field| instance_variable_set("@#{field}", fields[field]) }
        end

        private

        def property_source = @properties
      end

      class EvaluationLink
        include PropertyHelper
        attr_reader :instances, :properties

        # content: the link as the provider published it; addresses: Directorate::LinkAddresses
        def initialize(content, addresses)
          @instances = content['instances'].map { |fields| EvaluationLinkInstance.new(fields) }
          @properties = content['properties']
          @content = content
          @addresses = addresses
        end

        def address(criteria = {})
          return @content['address'] if @content.key?('address')
          @addresses.encode(@content, criteria)
        end

        private

        def property_source = @properties
      end

      class EvaluationContext
        include PropertyHelper
        attr_reader :name, :index, :properties, :raw_properties, :spec

        # Templates list the attributes of spec with spec.methods(false).
        class BackCompatOpenStruct < OpenStruct
          def methods(regular = true) = regular ? super : to_h.keys
        end

        # Chain after an if_p or if_link that was not taken.
        class ActiveElseBlock
          def initialize(context)
            @context = context
          end

          def else = yield
          def else_if_p(*names, &block) = @context.if_p(*names, &block)
          def else_if_link(name, &block) = @context.if_link(name, &block)
        end

        # Chain after a taken branch: nothing further happens.
        class InactiveElseBlock
          def else; end
          def else_if_p(*) = InactiveElseBlock.new
          def else_if_link(*) = InactiveElseBlock.new
        end

        def initialize(spec, dns_encoder)
          unless spec.is_a?(Hash)
            raise EvaluationFailed, "Invalid spec provided for template evaluation context, Hash expected, #{spec.class} given"
          end
          @name = spec['name']
          @index = spec['index']
          @spec = openstruct(spec, BackCompatOpenStruct)
          @raw_properties = spec['properties'] || {}
          @properties = openstruct(@raw_properties)
          @links = spec['links'] || {}
          @dns_encoder = dns_encoder
        end

        def link(name)
          content = lookup_property(@links, name)
          raise UnknownLink.new(name) unless content&.has_key?('instances')
          EvaluationLink.new(content, @dns_encoder)
        end

        def if_link(name)
          content = lookup_property(@links, name)
          return ActiveElseBlock.new(self) unless content&.has_key?('instances')
          yield EvaluationLink.new(content, @dns_encoder)
          InactiveElseBlock.new
        end

        private

        def property_source = @raw_properties

        # As OpenStruct.new, which defines two methods per attribute (25 microseconds each; specs have thousands).
        # Here only attributes that hide a method of Object get theirs; the rest are found by method_missing.
        def openstruct(value, type = OpenStruct)
          case value
          when Hash
            table = {}
            struct = type.allocate
            struct.instance_variable_set(:@table, table)
            value.each_pair do |key, inner|
              name = key.to_sym
              struct.send(:new_ostruct_member!, name) if type.method_defined?(name) || type.private_method_defined?(name)
              table[name] = openstruct(inner, type)
            end
            struct
          when Array then value.map { |inner| openstruct(inner, type) }
          else value
          end
        end
      end
    end
  end
end

module Directorate
  # Names of groups of instances for link.address, from the ids that the director has given to AZs, networks and groups.
  class LinkAddresses
    HEALTH = { 'default' => 0, 'unhealthy' => 1, 'healthy' => 3, 'all' => 4 }.freeze
    CHECKS = { 'synchronous' => 'y1', 'asynchronous' => 'y0' }.freeze

    def initialize(tables)
      @azs, @networks, @instances = tables.values_at('azs', 'networks', 'instances')
      @groups = tables['groups'].to_h { |group| [group.values_at('type', 'name', 'deployment'), group['id']] }
    end

    # link: its content; criteria: azs:, status:, initial_health_check: (and uuid:), symbol keys
    def encode(link, criteria)
      short = link.fetch('use_short_dns_addresses', false)
      by_link = link.fetch('use_link_dns_names', false)
      group = by_link ? link['group_name'] : link['instance_group']
      uuid = criteria[:uuid]
      first = uuid && !short ? uuid : "q-#{slug(link, criteria, short)}"
      middle =
        if short
          ["q-g#{@groups[[by_link ? 'link' : 'instance-group', group, link['deployment_name']]]}"]
        else
          [group, link['default_network'], link['deployment_name']].map { |label| canonical(label) }
        end
      [first, *middle, link['domain']].join('.')
    end

    private

    def slug(link, criteria, short)
      parts = (criteria[:azs] || []).map { |az| "a#{id_of(@azs, az, 'AZ')}" }
      if short
        parts << "m#{id_of(@instances, criteria[:uuid], 'instance UUID')}" if criteria[:uuid]
        parts << "n#{id_of(@networks, link['default_network'], 'Network')}" if link['default_network']
      end
      parts << CHECKS[criteria[:initial_health_check]]
      parts << "s#{HEALTH.fetch(criteria[:status], 0)}"
      parts.compact.sort.join
    end

    def id_of(table, name, kind)
      return nil if name.nil?
      table.fetch(name) { raise "Unknown #{kind}: '#{name}'" }
    end

    def canonical(label)
      name = label.downcase.tr('_', '-').gsub(/[^a-z0-9-]/, '')
      raise "Invalid DNS canonical name '#{name}', cannot start with a hyphen" if name.start_with?('-')
      raise "Invalid DNS canonical name '#{name}', cannot end with a hyphen" if name.end_with?('-')
      name
    end
  end
end
`;
